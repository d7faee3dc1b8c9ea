"""What lies beside the weights so that transformers alone can use a model: the code of its architecture, which is that
of this package, and how to generate with it.

`AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=True)` runs this code; nothing of ours ever does.
"""

from __future__ import annotations

import re
from pathlib import Path

from forge.data.render import ID
from forge.errors import ForgeError
from forge.files import atomic_write_json, atomic_write_text

# Modules of this room by the names that they are published under; the first two have names that transformers expects.
MODULES = {
    "config": "configuration_tinytitan",
    "hugging_face": "modeling_tinytitan",
    "titan": "tinytitan",
    "blocks": "tinytitan_blocks",
    "cache": "tinytitan_cache",
    "fit": "tinytitan_fit",
    "memory": "tinytitan_memory",
    "quantizers": "tinytitan_quantizers",
}
AUTO_MAP = {
    "AutoConfig": f"{MODULES['config']}.TinyTitanConfig",
    "AutoModelForCausalLM": f"{MODULES['hugging_face']}.TinyTitanForCausalLM",
}
# An answer ends at <|end|>, a call of a tool at <|result|>: whoever generates runs it and goes on with its result.
GENERATION = {
    "eos_token_id": [ID["end"], ID["result"]],
    "pad_token_id": ID["pad"],
    "suppress_tokens": [ID["pad"]],
}
_OURS = re.compile(r"^( *)from forge\.model\.(\w+) import ", re.MULTILINE)


def published_code(module: str) -> str:
    """The text of a module of this room as it is published: on its own, beside the others.

    Raises:
        ForgeError: it imports something of this package that is not published with it.
    """
    text = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
    text = text.replace("from forge.errors import ForgeError\n", "ForgeError = ValueError\n")
    text = _OURS.sub(lambda ours: f"{ours[1]}from .{MODULES[ours[2]]} import " if ours[2] in MODULES else ours[0], text)
    if left := re.search(r"^ *(?:from|import) forge\b.*", text, re.MULTILINE):
        raise ForgeError(f"forge/model/{module}.py cannot be published: {left[0].strip()}")
    return text


def write_model_code_beside_weights(directory: Path) -> None:
    """Write the code that `AUTO_MAP` names into a directory; equal code gives equal bytes."""
    for module, name in MODULES.items():
        atomic_write_text(directory / f"{name}.py", published_code(module))


def write_model_files_beside_weights(directory: Path) -> None:
    """Write the code and `generation_config.json` into a directory."""
    write_model_code_beside_weights(directory)
    atomic_write_json(directory / "generation_config.json", GENERATION)
