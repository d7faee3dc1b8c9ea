"""The metrics of phase 8: what each stage of the chain saves and costs, and what the file is worth."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from forge.agentfile.model import load_agent_file
from forge.agentfile.vq import FrozenVQ, agent_file_vq_bits_per_weight
from forge.data.build import Row
from forge.data.views import dataset_without_prompts
from forge.evals.likelihood import likelihood
from forge.evals.measure import Measurement, eval_accuracy_retention
from forge.evals.timing import eval_prefill_speedup
from forge.interface.run import PhaseRun, Published
from forge.model import TinyTitanForCausalLM, names_of_core_model_weights
from forge.phases.compress.params import Params

MIB = 2**20
ROWS = 400  # tool dialogues behind a perplexity, at most
TRIT_BITS = 8 / 5  # five trits in a byte
READINGS = 5


def compression_stage_bytes(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, codes: FrozenVQ | None, embed_bits: int
) -> int:
    """Bytes of an agent before entropy coding: every symbol at its fixed width, the tokenizer as its JSON.

    The core at 8/5 bits per trit, or as the indices, scales and codebooks of ``codes``; the embedding at ``embed_bits``
    per entry with a 16-bit scale per row; all else as 16-bit floats.
    """
    core, weights = set(names_of_core_model_weights(model)), dict(model.state_dict())
    entries = sum(weights[name].numel() for name in core)
    bits: float = entries * (TRIT_BITS if codes is None else agent_file_vq_bits_per_weight(codes))
    bits += 32 * len(core) if codes is None else 0
    table = weights["embed.weight"]
    bits += table.numel() * (embed_bits or 32) + 16 * len(table)
    bits += 16 * sum(weight.numel() for name, weight in weights.items() if name not in core | {"embed.weight"})
    return math.ceil(bits / 8) + len(str(tokenizer.backend_tokenizer.to_str()).encode())


class Perplexity:
    """exp of the loss on tool dialogues among ``rows``, per token of the *original* ``tokenizer``: tokenizers that cut
    text differently can be compared by it."""

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> None:
        self.rows = [row for row in rows if row["kind"] in ("tooled", "tool")][:ROWS]
        self.tokens = int(dataset_without_prompts(tokenizer, self.rows).mask.sum())

    def __call__(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
        found = likelihood(model, dataset_without_prompts(tokenizer, self.rows))
        return math.exp(min(700.0, float(found.nll.sum()) / self.tokens))


class StageMeter:
    """Bytes into and out of each stage, and the perplexity of its last attempt."""

    def __init__(self, rows: Sequence[Row], model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.perplexity = Perplexity(rows, tokenizer)
        self.bytes = compression_stage_bytes(model, tokenizer, None, model.config.embed_bits)
        self.stages: dict[str, dict[str, float]] = {}

    def attempt(self, stage: str, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, size: int) -> None:
        """Measure what an attempt made, ``size`` bytes."""
        self.stages[stage] = {"in": self.bytes, "out": size, "perplexity": self.perplexity(model, tokenizer)}

    def done(self, stage: str, taken: bool) -> None:
        """The last attempt is handed on, or undone: then the stage's output is its input."""
        if not taken:
            self.stages[stage]["out"] = self.stages[stage]["in"]
        self.bytes = int(self.stages[stage]["out"])

    def ratio(self, stage: str) -> float:
        """How many times smaller the stage made the agent."""
        return self.stages[stage]["in"] / self.stages[stage]["out"]

    def metrics(self) -> dict[str, float]:
        """``<stage>/size_mb_in``, ``size_mb_out`` (MiB) and ``perplexity``, and each stage's ratio."""
        out: dict[str, float] = {}
        for stage, row in self.stages.items():
            out[f"{stage}/size_mb_in"] = row["in"] / MIB
            out[f"{stage}/size_mb_out"] = row["out"] / MIB
            out[f"{stage}/perplexity"] = row["perplexity"]
            out[f"compression/{stage}_ratio"] = self.ratio(stage)
        return out


def compressed_file_metrics(
    run: PhaseRun[Params], path: Path, final: Measurement, first: Published, original: int
) -> dict[str, float]:
    """The file against phase 1's model ``first``, whose deployable files have ``original`` bytes."""
    model, tokenizer, _ = load_agent_file(path)
    size, told = path.stat().st_size, run.evaluator(first.tokenizer).measure(first.model).prompted
    assert told is not None, "it was asked for under the tool prompt"
    return {
        "quality/final_accuracy": final.tools.mean_accuracy,
        "quality/final_perplexity": Perplexity(run.rows("test"), first.tokenizer)(model, tokenizer),
        "quality/accuracy_vs_phase1": eval_accuracy_retention(told.correct, final.tools.correct),
        "size/original_mb": original / MIB,
        "size/final_mb": size / MIB,
        "size/total_compression_ratio": original / size,
        "performance/inference_speedup": eval_prefill_speedup(first.model, model),
        "performance/decompression_time_ms": decompression_ms(path),
        "phase/final_compression_level": 8 * size / first.model.num_parameters(),
    }


def decompression_ms(path: Path, readings: int = READINGS) -> float:
    """Median milliseconds from the file to a model and a tokenizer."""
    times = []
    for _ in range(readings):
        started = time.perf_counter()
        load_agent_file(path)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def count_compression_codes_in_use(codes: FrozenVQ | None) -> int:
    """Code vectors that at least one group of weights points to, over all codebooks."""
    if codes is None:
        return 0
    used: dict[str, set[int]] = {}
    for matrix in codes.matrices.values():
        used.setdefault(matrix.codebook, set()).update(matrix.indices.reshape(-1).tolist())
    return sum(len(indices) for indices in used.values())


def compression_stages_in_file(vocabulary: Sequence[int], codes: FrozenVQ | None) -> int:
    """How many of the three stages the file has been through: entropy coding always, the others unless undone.
    ``vocabulary``: sizes before and after."""
    return 1 + (vocabulary[1] < vocabulary[0]) + (codes is not None)
