"""A model's thinking: several thoughts, each with its answer; those that are coherent enough vote."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID
from forge.errors import ForgeError
from forge.interface.limits import COOLEST, HOTTEST
from forge.model import TinyTitanForCausalLM, load_titan_tokenizer
from forge.model.engine import Generation
from forge.thinking.coherence import COMPONENTS, Calibration, Scores, coherence_components
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import PROMPTS_AT_ONCE, Ids, slice_prompts_for_thinker
from forge.thinking.sampling import Thought, answer_thinking, thought_sampling_seed, write_thoughts

THINKER_FILE = "think_gate.safetensors"


@dataclass(frozen=True)
class Thoughts:
    """Of b prompts with n thoughts each: what was written, answers that vote (ids), raw components, coherence and
    whether it reaches the threshold (b,n). seconds: of writing and scoring.
    """

    written: list[list[Thought]]
    answers: list[list[list[int]]]
    raw: dict[str, Scores]
    coherence: Scores
    valid: NDArray[np.bool_]
    seconds: float

    def vote(self) -> list[list[int]]:
        """Of each prompt the answer with the most coherence behind it; the likeliest thought's where none is valid."""
        votes = self.coherence * self.valid
        return [weigh_thought_answers(*row) for row in zip(self.answers, votes, self.valid, strict=True)]

    def mean_steps(self) -> list[float]:
        """Of each prompt the mean number of recurrence steps per token of all its thoughts and their answers."""
        rows = [[(len(thought.ids), thought.steps) for thought in row] for row in self.written]
        return [sum(n * steps for n, steps in row) / max(1, sum(n for n, _ in row)) for row in rows]

    def majority(self) -> list[list[int]]:
        """Of each prompt the answer that most thoughts gave, coherent or not."""
        ended = np.array([[thought.closed for thought in row] for row in self.written])
        return [weigh_thought_answers(*row) for row in zip(self.answers, ended.astype(float), ended, strict=True)]


def weigh_thought_answers(answers: Sequence[list[int]], weights: NDArray[Any], counted: NDArray[np.bool_]) -> list[int]:
    """The answer with the largest sum of weights (n) among those that count, the earlier one of equals; the first where
    none counts."""
    votes: dict[tuple[int, ...], float] = {}
    for answer, weight, counts in zip(answers, weights, counted, strict=True):
        if counts:
            votes[tuple(answer)] = votes.get(tuple(answer), 0.0) + float(weight)
    return list(max(votes.items(), key=lambda vote: vote[1])[0]) if votes else list(answers[0])


@dataclass(frozen=True)
class Thinker:
    """What thinking needs beside the model; saved as ``think_gate.safetensors`` in its directory.

    thoughts, tokens: how many and how long at most; one is the likeliest, the others are sampled. temperature: of their
    sampling. threshold: coherence (0..1) below which a thought has no vote. mixed: whether the gate mixes the state of
    an answer at once into that after a thought; if not, the gate is not used.
    """

    gate: ThoughtGate
    calibration: Calibration
    tokenizer: PreTrainedTokenizerFast
    thoughts: int
    tokens: int
    temperature: float
    threshold: float
    mixed: bool

    def think(
        self, model: TinyTitanForCausalLM, prompts: Sequence[Ids], max_new_tokens: int, seed: int = 0
    ) -> Thoughts:
        """Thoughts after prompts (ids that end with ``<|assistant|>`` or ``<|think|>``), the likeliest first."""
        started = time.perf_counter()
        first = write_thoughts(model, prompts, tokens=self.tokens, answer_tokens=max_new_tokens)
        others = write_thoughts(
            model,
            prompts,
            thoughts=self.thoughts - 1,
            tokens=self.tokens,
            answer_tokens=max_new_tokens,
            temperature=self.temperature,
            seed=seed,
        )
        written = [[*one, *more] for one, more in zip(first, others, strict=True)]
        flat = [thought for row in written for thought in row]
        asked = [prompt for prompt in prompts for _ in range(self.thoughts)]
        raw = coherence_components(model, self.tokenizer, asked, flat)
        shape = (len(prompts), self.thoughts)
        coherence = self.calibration.coherence(raw).reshape(shape)
        valid = (coherence >= self.threshold) & np.array([t.closed for t in flat]).reshape(shape)
        answers = self._answers(model, asked, flat, max_new_tokens)
        return Thoughts(
            written,
            [answers[start : start + self.thoughts] for start in range(0, len(flat), self.thoughts)],
            {name: value.reshape(shape) for name, value in raw.items()},
            coherence,
            valid,
            time.perf_counter() - started,
        )

    def _answers(
        self, model: TinyTitanForCausalLM, prompts: Sequence[Ids], thoughts: Sequence[Thought], max_new_tokens: int
    ) -> list[list[int]]:
        """The answer of each thought: as it was written, or by the gate."""
        if not self.mixed:
            return [thought.answer for thought in thoughts]
        plain = [list(prompt[:-1]) if prompt[-1] == ID["think"] else prompt for prompt in prompts]
        return answer_thinking(model, self.gate, plain, [thought.inside for thought in thoughts], max_new_tokens)

    def answer(
        self, model: TinyTitanForCausalLM, prompts: Sequence[Ids], max_new_tokens: int, seed: int = 0
    ) -> list[Generation]:
        """What the thoughts vote for (ids with ``<|end|>``, and the mean steps of the thoughts), without tools; where
        none has a vote, what comes after the likeliest.

        ForgeError for a model of another width than the gate's.
        """
        if self.gate.inner.out_features != model.config.hidden_size:
            raise ForgeError("the think gate beside this model belongs to one of another width")
        found: list[Generation] = []
        for index, part in enumerate(slice_prompts_for_thinker(len(prompts), PROMPTS_AT_ONCE)):
            thoughts = self.think(model, prompts[part], max_new_tokens, thought_sampling_seed(seed, index))
            voted = zip(thoughts.vote(), thoughts.mean_steps(), strict=True)
            found += [Generation(ids=ids or [ID["end"]], steps=steps) for ids, steps in voted]
        return found

    def to_bytes(self) -> bytes:
        """As a safetensors file: the gate, the calibration, the settings in its header."""
        tensors = {f"gate.{name}": value for name, value in self.gate.state_dict().items()}
        tensors["calibration"] = torch.from_numpy(self.calibration.reference)
        header = {
            "thoughts": self.thoughts,
            "tokens": self.tokens,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "mixed": self.mixed,
            "weights": dict(self.calibration.weights),
        }
        return save(tensors, {"thinker": json.dumps(header, sort_keys=True)})


def read_thinker_file(directory: Path | str) -> Thinker | None:
    """The thinker beside a model and its tokenizer, None where the model does not think.

    Raises ForgeError that names a damaged file.
    """
    path = Path(directory) / THINKER_FILE
    if not path.is_file():
        return None
    tokenizer = load_titan_tokenizer(directory)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["thinker"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check_thinker(header, tensors)
        calibration = Calibration(tensors.pop("calibration").numpy(), header["weights"])
        gate = ThoughtGate(len(tensors["gate.inner.bias"]))
        gate.load_state_dict({name.removeprefix("gate."): value for name, value in tensors.items()})
        settings = {name: header[name] for name in ("thoughts", "tokens", "temperature", "threshold", "mixed")}
        return Thinker(gate.eval(), calibration, tokenizer, **settings)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise ForgeError(f"{path}: not a readable think gate ({type(error).__name__})") from error


def _check_thinker(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """ValueError for what no phase 3 writes: a gate is made by its width, thoughts are made by their number."""
    sizes = ((header["thoughts"], 64), (header["tokens"], 4096))
    rates = [header["threshold"], *(header["weights"][name] for name in COMPONENTS)]
    temperature = header["temperature"]
    width, reference = len(tensors["gate.inner.bias"]), tensors["calibration"]
    if (
        any(type(size) is not int or not 1 <= size <= most for size, most in sizes)
        or any(type(rate) not in (int, float) or not 0.0 <= rate <= 1e6 for rate in rates)
        or type(temperature) not in (int, float)
        or not COOLEST <= temperature <= HOTTEST
        or type(header["mixed"]) is not bool
        or tuple(tensors["gate.inner.weight"].shape) != (width, 2 * width)
        or reference.dim() != 2
        or len(reference) != len(COMPONENTS) + 1
        or not reference.numel()
        or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    ):
        raise ValueError
