"""A model's thinking: sample thoughts, keep the most coherent, mix it in if it is coherent enough."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.model.engine import generate
from forge.thinking.coherence import (
    COMPONENTS,
    Calibration,
    Scores,
    coherence_components,
    thought_derangement,
)
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import PROMPTS_AT_ONCE, Ids, slice_prompts_for_thinker
from forge.thinking.sampling import NEVER_ANSWERED, answer_thinking, sample_thoughts, thought_sampling_generator

THINKER_FILE = "think_gate.safetensors"


@dataclass(frozen=True)
class Thoughts:
    """Of b prompts with n thoughts each: ids (b,n,m), raw components and coherence (b,n).

    best: index of the most coherent (b). passed: whether that reaches the threshold (b). seconds: of sampling
    and scoring.
    """

    ids: torch.Tensor
    raw: dict[str, Scores]
    coherence: Scores
    best: np.ndarray
    passed: np.ndarray
    seconds: float

    def chosen(self) -> list[list[int]]:
        """The most coherent thought of each prompt."""
        best: list[list[int]] = self.ids[torch.arange(len(self.best)), torch.from_numpy(self.best)].tolist()
        return best


@dataclass(frozen=True)
class Thinker:
    """What thinking needs beside the model; saved as ``think_gate.safetensors`` in its directory.

    thoughts, tokens: how many and how long. threshold: coherence (0..1) below which nothing is mixed in.
    """

    gate: ThoughtGate
    calibration: Calibration
    thoughts: int
    tokens: int
    threshold: float

    def think(self, model: TinyTitanForCausalLM, prompts: Sequence[Ids], drafts: Sequence[Ids], seed: int) -> Thoughts:
        """Thoughts after prompts (ids that end with ``<|assistant|>``). ``drafts``: what the model answers
        without thinking."""
        started = time.perf_counter()
        count = self.thoughts
        ids = sample_thoughts(model.eval(), prompts, count, self.tokens, thought_sampling_generator(seed, 0))
        repeat = np.repeat(np.arange(len(prompts)), count).tolist()
        asked, drafted = [prompts[i] for i in repeat], [drafts[i] for i in repeat]
        raw = coherence_components(model, asked, ids.flatten(0, 1).tolist(), drafted)
        raw = {name: value.reshape(len(prompts), count) for name, value in raw.items()}
        coherence = self.calibration.coherence(raw)
        best = coherence.argmax(axis=1)
        passed = coherence.max(axis=1) >= self.threshold
        return Thoughts(ids, raw, coherence, best, passed, time.perf_counter() - started)

    def answer(
        self, model: TinyTitanForCausalLM, prompts: Sequence[Ids], max_new_tokens: int, seed: int = 0
    ) -> list[list[int]]:
        """Greedy answers (ids with ``<|end|>``) with thoughts, without tools: draft, think, answer.

        ForgeError for a model of another width than the gate's.
        """
        if self.gate.inner.out_features != model.config.hidden_size:
            raise ForgeError("the think gate beside this model belongs to one of another width")
        out = draft_without_thinking(model, prompts, max_new_tokens)
        where: list[int] = []
        insides: list[list[int]] = []
        for index, part in enumerate(slice_prompts_for_thinker(len(prompts), PROMPTS_AT_ONCE)):
            thoughts = self.think(model, prompts[part], out[part], seed + index)
            passed, chosen = np.flatnonzero(thoughts.passed).tolist(), thoughts.chosen()
            where += [part.start + i for i in passed]
            insides += [chosen[i] for i in passed]
        made = answer_thinking(model, self.gate, [prompts[i] for i in where], insides, max_new_tokens)
        for i, answer in zip(where, made, strict=True):
            out[i] = answer
        return out

    def to_bytes(self) -> bytes:
        """As a safetensors file: the gate, the calibration, the settings in its header."""
        tensors = {f"gate.{name}": value for name, value in self.gate.state_dict().items()}
        tensors["calibration"] = torch.from_numpy(self.calibration.reference)
        header = {
            "thoughts": self.thoughts,
            "tokens": self.tokens,
            "threshold": self.threshold,
            "weights": dict(self.calibration.weights),
        }
        return save(tensors, {"thinker": json.dumps(header, sort_keys=True)})


def read_thinker_file(directory: Path | str) -> Thinker | None:
    """The thinker beside a model, None where the model does not think.

    Raises ForgeError that names a damaged file.
    """
    path = Path(directory) / THINKER_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["thinker"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check_thinker(header, tensors)
        reference = tensors.pop("calibration").numpy()
        gate = ThoughtGate(len(tensors["gate.inner.bias"]))
        gate.load_state_dict({name.removeprefix("gate."): value for name, value in tensors.items()})
        calibration = Calibration(reference, header["weights"])
        return Thinker(gate.eval(), calibration, header["thoughts"], header["tokens"], header["threshold"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise ForgeError(f"{path}: not a readable think gate ({type(error).__name__})") from error


def _check_thinker(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """ValueError for what no phase 3 writes: a gate is made by its width, thoughts are made by their number."""
    sizes = ((header["thoughts"], 64), (header["tokens"], 4096))
    rates = [header["threshold"], *(header["weights"][name] for name in COMPONENTS)]
    width, reference = len(tensors["gate.inner.bias"]), tensors["calibration"]
    if (
        any(type(size) is not int or not 1 <= size <= most for size, most in sizes)
        or any(type(rate) not in (int, float) or not 0.0 <= rate <= 1e6 for rate in rates)
        or tuple(tensors["gate.inner.weight"].shape) != (width, 2 * width)
        or reference.dim() != 2
        or len(reference) != len(COMPONENTS) + 1
        or not reference.numel()
        or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    ):
        raise ValueError


def draft_without_thinking(model: TinyTitanForCausalLM, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
    """Greedy answers without thoughts and without tools: ids up to and with ``<|end|>``."""
    made = generate(model, prompts, max_new_tokens=max_new_tokens, ban_ids=NEVER_ANSWERED)
    return [generation.ids for generation in made]


def calibrate_thinker(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate,
    prompts: Sequence[Ids],
    weights: dict[str, float],
    *,
    thoughts: int,
    tokens: int,
    threshold: float,
    max_new_tokens: int,
    seed: int,
) -> Thinker:
    """The thinker of a trained model, its scale of coherence set on validation prompts (at least 2): every
    prompt is held against the thoughts of another one.
    """
    if len(prompts) < 2:
        raise ForgeError("calibration of thoughts needs at least 2 validation prompts")
    drafts = draft_without_thinking(model, prompts, max_new_tokens)
    ids = sample_thoughts(model.eval(), prompts, thoughts, tokens, thought_sampling_generator(seed, 0))
    foreign = ids[torch.from_numpy(thought_derangement(len(prompts), seed))].flatten(0, 1).tolist()
    repeat = np.repeat(np.arange(len(prompts)), thoughts).tolist()
    raw = coherence_components(model, [prompts[i] for i in repeat], foreign, [drafts[i] for i in repeat])
    return Thinker(gate, Calibration.fit(raw, weights), thoughts, tokens, threshold)
