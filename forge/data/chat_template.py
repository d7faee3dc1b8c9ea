"""The chat template that tokenizers are published with: what `forge.data.render.render` does, in the words of Jinja.

`tokenizer.apply_chat_template` gives the ids that `render` gives; a test holds the two equal. A message with
`tool_calls` is taken as `forge.data.layouts` takes it: one call, whose arguments are an object as transformers hands
them over, or a text. A thought is refused: no text makes the tokenizer cut it into single characters.
"""

from __future__ import annotations

from forge.data.personas import PERSONAS

# A role token that is written in a text is taken apart, as `render` does.
CHAT_TEMPLATE = (
    "{%- macro tool_call_text(message) -%}"
    "{%- set calls = message.tool_calls -%}"
    "{%- if message.role != 'assistant' or message.content or calls is string or calls | length != 1 -%}"
    "{{- raise_exception('tool_calls: one call of the assistant, without text beside it') -}}"
    "{%- endif -%}"
    "{%- set function = calls[0].function or calls[0] -%}"
    "{%- if function.name is not string -%}{{- raise_exception('a call without the name of a tool') -}}{%- endif -%}"
    "{%- set given = function.arguments or '' -%}"
    "{%- if given is mapping -%}"
    "{%- set given = dict(given.items() | rejectattr(1, 'none')) -%}"
    "{%- set given = (given.values() | list)[0] if given | length == 1 else given or '' -%}"
    "{%- set given = given if given is string else given | tojson -%}"
    "{%- elif given is not string or given.lstrip().startswith('{') -%}"
    "{{- raise_exception('arguments of a call: an object or a text, not an object written as JSON') -}}"
    "{%- endif -%}"
    "{{- (function.name + ' ' + given).rstrip() -}}"
    "{%- endmacro -%}"
    "{%- set state = namespace(opened=false, told=none) -%}"
    "{%- for message in messages -%}"
    "{%- set role, text = message.role, message.content -%}"
    "{%- if message.tool_calls -%}"
    "{%- set role, text = 'call', tool_call_text(message) -%}"
    "{%- elif text is not string -%}"
    "{{- raise_exception('a message whose content is not text') -}}"
    "{%- endif -%}"
    "{%- set text = text.replace('<|', '< |') -%}"
    "{%- if role == 'persona' and text in PERSONAS -%}"
    "{{- '<|' + text + '|>' -}}"
    "{%- elif role in ('system', 'user') -%}"
    "{{- '<|' + role + '|>' + text -}}"
    "{%- elif role in ('assistant', 'call') -%}"
    "{%- if not state.opened -%}{{- '<|assistant|>' -}}{%- endif -%}"
    "{%- if role == 'call' -%}{{- '<|call|>' + text + '<|result|>' -}}"
    "{%- else -%}{{- ('' if text == state.told else text) + '<|end|>' -}}{%- endif -%}"
    "{%- elif role in ('result', 'tool') -%}"
    "{{- text + '<|assistant|>' -}}"
    "{%- elif role == 'thought' -%}"
    "{{- raise_exception('a thought is written a token a character, which a template cannot do: leave it out') -}}"
    "{%- else -%}"
    "{{- raise_exception('unknown role or persona: ' + role) -}}"
    "{%- endif -%}"
    "{%- set state.opened = role in ('result', 'tool') -%}"
    "{%- set state.told = none -%}"
    "{%- if state.opened and text.startswith('error:') -%}"
    "{%- set state.told = 'I could not do that: ' + text[6:].strip().rstrip('.') + '.' -%}"
    "{%- elif state.opened -%}{%- set state.told = text -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt and not state.opened -%}{{- '<|assistant|>' -}}{%- endif -%}"
).replace("PERSONAS", str(PERSONAS))
