"""TinyTitan with all that transformers' ``PreTrainedModel`` brings, which takes longer to import than torch does."""

from __future__ import annotations

from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from forge.model import titan
from forge.model.config import TinyTitanConfig


# Both bases name their configuration, one of them more exactly.
class TinyTitanForCausalLM(titan.TinyTitanForCausalLM, PreTrainedModel):  # type: ignore[misc]
    """What ``AutoModelForCausalLM`` gives; of the same name as the plain one, for it goes into config.json."""

    base_model_prefix = ""
    num_parameters = PreTrainedModel.num_parameters

    def __init__(self, config: TinyTitanConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self._add_parts(config)
        self.post_init()
        self._init_outputs()

    @classmethod
    def from_pretrained(cls, *arguments: Any, **keywords: Any) -> Any:
        return super(titan.TinyTitanForCausalLM, cls).from_pretrained(*arguments, **keywords)

    @classmethod
    def _from_config(cls, *arguments: Any, **keywords: Any) -> Any:
        return super(titan.TinyTitanForCausalLM, cls)._from_config(*arguments, **keywords)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed = cast(nn.Embedding, value)
