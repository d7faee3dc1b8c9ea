"""The chat template that tokenizers are published with: what `forge.data.render.render` does, in the words of Jinja.

`tokenizer.apply_chat_template` gives the ids that `render` gives; a test holds the two equal.
"""

from __future__ import annotations

from forge.data.personas import PERSONAS

# A role token that is written in a text is taken apart, as `render` does.
CHAT_TEMPLATE = (
    "{%- set state = namespace(opened=false) -%}"
    "{%- for message in messages -%}"
    "{%- if message.content is not string -%}"
    "{{- raise_exception('a message whose content is not text; a call is a message of its own: role call, content"
    " calculator 3+4, then role result') -}}"
    "{%- endif -%}"
    "{%- set role, text = message.role, message.content.replace('<|', '< |') -%}"
    "{%- if role == 'persona' and text in PERSONAS -%}"
    "{{- '<|' + text + '|>' -}}"
    "{%- elif role in ('system', 'user') -%}"
    "{{- '<|' + role + '|>' + text -}}"
    "{%- elif role in ('assistant', 'call') -%}"
    "{%- if not state.opened -%}{{- '<|assistant|>' -}}{%- endif -%}"
    "{{- text + '<|end|>' if role == 'assistant' else '<|call|>' + text + '<|result|>' -}}"
    "{%- elif role in ('result', 'tool') -%}"
    "{{- text + '<|assistant|>' -}}"
    "{%- else -%}"
    "{{- raise_exception('unknown role or persona: ' + role) -}}"
    "{%- endif -%}"
    "{%- set state.opened = role in ('result', 'tool') -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt and not state.opened -%}{{- '<|assistant|>' -}}{%- endif -%}"
).replace("PERSONAS", str(PERSONAS))
