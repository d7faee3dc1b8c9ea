"""TinyTitan with all that transformers' ``PreTrainedModel`` brings, which takes longer to import than torch does.

What callers of Hugging Face models pass on is honoured or refused, never swallowed. A masked token is a token that is
not there: the others of its row are moved together before they are read, so that a padded row gives what it gives
alone.

Shapes: b batch, t tokens of a call, d hidden, v vocabulary.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from forge.model.cache import Cache
from forge.model.config import TinyTitanConfig
from forge.model.fit import check_weights_fit
from forge.model.titan import PIECE
from forge.model.titan import TinyTitanForCausalLM as PlainTitan

ROOM = 256  # tokens that a cache grows by
_DTYPES = (torch.float32, torch.float64)


class PastTokens:
    """``past_key_values``: the model's cache, which grows, and which columns of its rows were tokens (b, columns)."""

    is_compileable = False

    def __init__(self, cache: Cache, mask: Tensor) -> None:
        self.cache, self.mask = cache, mask

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns so far, masked ones included."""
        return self.mask.shape[1]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with these rows (beam search)."""
        self.cache, self.mask = self.cache.rows(beam_idx), self.mask[beam_idx]


# Both bases name their configuration, one of them more exactly.
class TinyTitanForCausalLM(PlainTitan, PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """What ``AutoModelForCausalLM`` gives; of the same name as the plain one, for it goes into config.json.

    ValueError for half precision: norms, memory and rotations need 32 bits.
    """

    base_model_prefix = ""
    num_parameters = PreTrainedModel.num_parameters
    _supports_sdpa = True
    _is_stateful = True  # what the memory has read cannot be taken back: no assisted decoding

    def __init__(self, config: TinyTitanConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self._add_parts(config)
        self._refuse_half_precision()
        self.post_init()
        self._init_outputs()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *arguments: Any, **keywords: Any) -> Any:
        """See ``PreTrainedModel.from_pretrained``; a local file of weights that does not fit is refused unread."""
        weights = Path(str(pretrained_model_name_or_path)) / "model.safetensors"
        if weights.is_file():
            config = keywords.get("config")
            if not isinstance(config, TinyTitanConfig):
                config = TinyTitanConfig.from_pretrained(str(pretrained_model_name_or_path))
            check_weights_fit(weights, config, PlainTitan)
        return super(PlainTitan, cls).from_pretrained(pretrained_model_name_or_path, *arguments, **keywords)

    def save_pretrained(self, save_directory: Any, *arguments: Any, **keywords: Any) -> None:
        """See ``PreTrainedModel.save_pretrained``; `auto_map` and the code that it names are written both or neither.

        Where this code is itself the one beside the weights, transformers copies it.
        """
        beside = sys.modules.get(f"{__package__}.beside")
        if beside is not None:
            self.config.auto_map = dict(beside.AUTO_MAP)
        PreTrainedModel.save_pretrained(self, save_directory, *arguments, **keywords)
        if beside is not None and (Path(save_directory) / "config.json").is_file():  # one process of many writes it
            beside.write_model_code_beside_weights(Path(save_directory))

    @classmethod
    def _from_config(cls, *arguments: Any, **keywords: Any) -> Any:
        return super(PlainTitan, cls)._from_config(*arguments, **keywords)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """No: :meth:`forward` makes the cache."""
        return False

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed = cast(nn.Embedding, value)

    def _refuse_half_precision(self) -> None:
        kind = self.embed.weight.dtype
        _refuse(
            kind not in _DTYPES,
            f"TinyTitan computes in float32 or float64, not in {kind}: load it with dtype=torch.float32;"
            " torch.autocast takes its products in half precision",
        )

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, is_first_iteration: bool | None = False, **kwargs: Any
    ) -> dict[str, Any]:
        """See ``GenerationMixin``; after the first call positions are left out, for ``generate`` counts them on from
        the last place of a row, which is masked where a row is padded on the right."""
        mixin: Any = super()  # its methods are declared for a protocol
        made: dict[str, Any] = mixin.prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration:
            made.pop("position_ids", None)
        return made

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: PastTokens | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
        steps: int | None = None,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits (b,t,v) after each position has halted.

        Args:
            input_ids: (b,t).
            attention_mask: (b, past + t); 0 is a token that is not there. At its place stands what the token before it
                predicts.
            position_ids: (b,t) or (1,t); accepted where they count the tokens that are there.
            past_key_values: what an earlier call gave; it is extended in place.
            labels: (b,t); ignored are -100, masked tokens, and what a masked place would predict.
            use_cache: return ``past_key_values``.
            output_hidden_states: a state (b,t,d) after every recurrence step; a position that has halted keeps its own.
            logits_to_keep: logits at the last so many places only; 0 is all.
            steps: recurrence steps at every position, instead of the halting head's choice.

        ValueError for ``inputs_embeds`` and ``output_attentions``, and for what does not fit together.
        """
        self._refuse_half_precision()
        _refuse(inputs_embeds is not None, "inputs_embeds: only input_ids are read, by the table as it is quantized")
        _refuse(bool(output_attentions), "output_attentions: the weights of attention are not kept")
        _refuse(input_ids is None or input_ids.dim() != 2 or not input_ids.numel(), "input_ids: (batch, tokens) needed")
        _refuse(type(logits_to_keep) is not int or logits_to_keep < 0, "logits_to_keep: a number of places is needed")
        _refuse(steps is not None and (type(steps) is not int or steps < 1), "steps: a number from 1 is needed")
        _refuse(bool(logits_to_keep) and labels is not None, "labels: they need the logits of every place")
        ids, past = cast(Tensor, input_ids), past_key_values
        mask = _mask_of_call(ids, attention_mask, past)
        _check_positions(position_ids, mask, past)
        if past is None and (use_cache or (ids.shape[1] > PIECE and not torch.is_grad_enabled())):
            past = PastTokens(self.empty_cache(len(ids), 0), mask[:, :0])
        shown = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        last_alone = logits_to_keep == 1 and not shown and past is not None and not past.get_seq_length()
        table = self.embedding_weight()
        states = self._read_call(ids, mask, table, past, steps, last_alone)
        logits = F.linear(states[-1][:, -logits_to_keep:], table)
        out = CausalLMOutputWithPast(
            loss=None if labels is None else _loss(logits, labels, mask),
            logits=logits,
            past_key_values=cast(Any, past) if use_cache else None,
            hidden_states=cast(Any, tuple(states)) if shown else None,
        )
        return out if (self.config.return_dict if return_dict is None else return_dict) else out.to_tuple()

    def _read_call(
        self, ids: Tensor, mask: Tensor, table: Tensor, past: PastTokens | None, steps: int | None, last_alone: bool
    ) -> list[Tensor]:
        """States (b,t,d) after every recurrence step, or (b,1,d) at the last places alone; ``past`` is extended."""
        whole, lengths, first = bool(mask.all()), mask.sum(dim=1), past is None or not past.get_seq_length()
        _refuse(not whole and not first, "attention_mask: after the first call every token is read, of every row")
        _refuse(bool((lengths == 0).any()), "attention_mask: a row in which no token is left")
        if past is not None:
            longest = int(past.cache.lengths.max()) + ids.shape[1]
            if longest > past.cache.keys[0].shape[2]:
                past.cache.grow(longest + ROOM)
            past.mask = torch.cat((past.mask, mask), dim=1)
        if not whole:
            ids = ids.gather(1, torch.argsort(mask.int(), dim=1, descending=True, stable=True))
        if last_alone and past is not None:
            trace = self.prefill_prompts(ids, table, lengths, past.cache)
            return [state for state, _ in self.halting_states(trace, steps)]
        made = self._read_pieces(ids, None if whole else lengths, table, past, steps)
        if whole:
            return made
        index = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, :, None]
        return [state.gather(1, index.expand(-1, -1, state.shape[2])) for state in made]

    def _read_pieces(
        self, ids: Tensor, lengths: Tensor | None, table: Tensor, past: PastTokens | None, steps: int | None
    ) -> list[Tensor]:
        """States (b,t,d) after every recurrence step of ids that are padded on the right."""
        size, cache = ids.shape[1], None
        if past is not None:
            cache = past.cache
            # Rows of one length go on together, others token by token, each at its own place.
            size = PIECE if bool((cache.lengths == cache.lengths[0]).all()) else 1
        pieces: list[list[Tensor]] = []
        for start in range(0, ids.shape[1], size):
            inside = None if lengths is None else (lengths - start).clamp(0, size)
            trace = self.prefill(ids[:, start : start + size], table, inside, cache)
            pieces.append([state for state, _ in self.halting_states(trace, steps)])
        count = max(map(len, pieces))  # where every position of a piece has halted early, its last state stays
        return [torch.cat([piece[min(step, len(piece) - 1)] for piece in pieces], dim=1) for step in range(count)]


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise ValueError(message)


def _mask_of_call(ids: Tensor, given: Tensor | None, past: PastTokens | None) -> Tensor:
    """Which of ids (b,t) are there, as booleans; what it says of earlier tokens must be what was read."""
    _refuse(
        past is not None and not isinstance(past, PastTokens),
        "past_key_values: TinyTitan goes on only from what an earlier call of its own gave",
    )
    _refuse(past is not None and len(past.mask) != len(ids), "past_key_values: of another number of rows")
    if given is None:
        return torch.ones_like(ids, dtype=torch.bool)
    before = 0 if past is None else past.get_seq_length()
    wanted = (len(ids), before + ids.shape[1])
    _refuse(tuple(given.shape) != wanted, f"attention_mask: shape {tuple(given.shape)}, needed is {wanted}")
    mask = given.to(ids.device) != 0
    _refuse(bool((given.to(ids.device) != mask).any()), "attention_mask: holds other values than 0 and 1")
    _refuse(
        past is not None and not torch.equal(mask[:, :before], past.mask),
        "attention_mask: earlier tokens were masked otherwise when they were read",
    )
    return mask[:, before:]


def _check_positions(given: Tensor | None, mask: Tensor, past: PastTokens | None) -> None:
    """Positions are counted, not chosen: refuse all others at the places that are there."""
    if given is None:
        return
    first = mask.new_zeros(len(mask), dtype=torch.long) if past is None else past.cache.lengths
    counted = first[:, None] + mask.cumsum(dim=1) - 1
    _refuse(
        given.dim() != 2 or given.shape[1] != mask.shape[1] or len(given) not in (1, len(mask)),
        f"position_ids: shape {tuple(given.shape)}, needed is {tuple(mask.shape)}",
    )
    _refuse(
        bool(((given.to(mask.device) != counted) & mask).any()),
        "position_ids: TinyTitan counts the tokens that are there, from 0; other positions it has not",
    )


def _loss(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy, nats, of each token under the logits at the place before it."""
    _refuse(labels.shape != mask.shape, f"labels: shape {tuple(labels.shape)}, needed is {tuple(mask.shape)}")
    wanted = labels[:, 1:].masked_fill(~(mask[:, 1:] & mask[:, :-1]), -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=-100)
