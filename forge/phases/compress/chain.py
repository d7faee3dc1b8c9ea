"""The chain with its gates: a stage that fails is tried once more at softer settings, then rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from forge.agentfile.model import LoadedModel, load_agent_file, save_agent_file
from forge.agentfile.vq import FrozenVQ
from forge.data.build import Row
from forge.data.views import dataset_without_prompts
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.compress.gates import ValidationScore, Verdicts, judge_compression_attempt
from forge.phases.compress.metrics import (
    StageMeter,
    compression_stage_bytes,
    compression_stages_in_file,
    count_compression_codes_in_use,
)
from forge.phases.compress.params import Params
from forge.phases.compress.student import StudentShape, distill_compression_student
from forge.phases.compress.vector_quantization import compress_core_while_training, compress_core_without_training
from forge.phases.compress.vocabulary_pruning import train_compressed_vocabulary, with_compressed_vocabulary


@dataclass(frozen=True)
class Compressed:
    """What the chain made: verdicts, metrics of its stages, sizes by component, the file's model and tokenizer as read
    back, what the file tells of calls (confidence, declared tools), the last attempt with codebooks trained in, taken
    or not, and its control, whose codebooks were fitted without training."""

    verdicts: Verdicts
    measured: dict[str, float]
    sizes: dict[str, int]
    final: TinyTitanForCausalLM
    tokenizer: PreTrainedTokenizerFast
    calls: dict[str, object]
    quantized: TinyTitanForCausalLM
    untrained: TinyTitanForCausalLM

    def metrics(self) -> dict[str, float]:
        """Bytes by component and stage, and what the gates saw."""
        sizes = {f"bytes/{name}": count for name, count in self.sizes.items()}
        return {**self.measured, **sizes, **self.verdicts.metrics()}


def compress_into_file(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[Row],
    path: Path,
    student: StudentShape | None = None,
) -> Compressed:
    """Compress ``model``, or a ``student`` of it, into the file ``path``. Gates judge on the validation split what each
    stage keeps of its input; a student is taken whatever they say, for its budget has to be met."""
    chain = _Chain(run, model, tokenizer, rows, path, student)
    small, tokens, kept = chain.prune_vocabulary(model, tokenizer)
    final, codes, kept, quantized = chain.quantize(small, tokens, kept)
    sizes, read, calls = chain.entropy_code(final, tokens, codes, kept)
    measured = {
        **chain.meter.metrics(),
        "compression/seedlm_vocab_size": len(read.tokenizer),
        "compression/vptq_codebook_size": count_compression_codes_in_use(codes),
        "phase/stages_completed": compression_stages_in_file((len(tokenizer), len(read.tokenizer)), codes),
    }
    untrained = compress_core_without_training(run, small)
    return Compressed(chain.verdicts, measured, sizes, read.model, read.tokenizer, calls, quantized, untrained)


class _Chain:
    """The three stages; each takes the model and its accuracy and returns what it hands on."""

    def __init__(
        self,
        run: PhaseRun[Params],
        model: TinyTitanForCausalLM,
        tokenizer: PreTrainedTokenizerFast,
        rows: list[Row],
        path: Path,
        student: StudentShape | None,
    ) -> None:
        self.run, self.params, self.rows, self.path, self.student = run, run.params, rows, path, student
        self.score = ValidationScore(run)
        self.verdicts = Verdicts(self.score(model, tokenizer))
        self.meter = StageMeter(run.rows("val"), model, tokenizer)

    def prune_vocabulary(
        self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast
    ) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast, float]:
        """The vocabulary of the size asked for with a short recovery, then of the larger one, else all of it; where a
        budget asks for fewer weights as well, a student that the recovered model has taught."""
        p, before = self.params, self.verdicts.before
        first = p.vocab_size if self.student is None else self.student.tokens
        for size in dict.fromkeys((first, int(first * p.retry_vocabulary))):
            told = self.run.own_tools.tools
            small, tokens = with_compressed_vocabulary(model, tokenizer, self.rows, size, p.token_weights, told)
            data = dataset_without_prompts(tokens, self.rows)
            train_compressed_vocabulary(self.run, small, data, name=f"vocabulary-{size}")
            if self.student is not None:
                small = distill_compression_student(self.run, small, data, self.student)
            reached = self.score(small, tokens)
            self.meter.attempt("seedlm", small, tokens, compression_stage_bytes(small, tokens, None, p.embed_bits))
            setting = f"{len(tokens)} tokens, {small.num_parameters():,} parameters"
            gate = judge_compression_attempt("seedlm", setting, reached, before, p.gates[0])
            if self.verdicts.accept(gate, forced=self.student is not None):
                self.meter.done("seedlm", True)
                return small, tokens, reached
        self.meter.done("seedlm", False)
        return model, tokenizer, before

    def quantize(
        self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, kept: float
    ) -> tuple[TinyTitanForCausalLM, FrozenVQ | None, float, TinyTitanForCausalLM]:
        """Codes of as many weights as asked for, then of fewer, so of more bits per weight, else the ternary core. Last
        the model of the last attempt, taken or not."""
        p, data = self.params, dataset_without_prompts(tokenizer, self.rows)
        threshold = max(p.gates[1], p.cumulative_gate * self.verdicts.before / kept if kept > 0 else 0.0)
        for group in dict.fromkeys((p.vq_groups, max(1, int(p.vq_groups * p.retry_groups)))):
            trained, codes = compress_core_while_training(self.run, model, data, group=group)
            save_agent_file(self.path, trained, tokenizer, vq=codes, embed_bits=p.embed_bits)
            # What is judged is what the file holds.
            judged, tokens, _ = load_agent_file(self.path)
            reached = self.score(judged, tokens)
            self.meter.attempt("vptq", judged, tokens, compression_stage_bytes(trained, tokenizer, codes, p.embed_bits))
            setting = f"{p.vq_codebook} codes of {group} weights"
            if self.verdicts.accept(judge_compression_attempt("vptq", setting, reached, kept, threshold)):
                self.meter.done("vptq", True)
                return trained, codes, reached, judged
        self.meter.done("vptq", False)
        return model, None, kept, judged

    def entropy_code(
        self,
        model: TinyTitanForCausalLM,
        tokenizer: PreTrainedTokenizerFast,
        codes: FrozenVQ | None,
        kept: float,
    ) -> tuple[dict[str, int], LoadedModel, dict[str, object]]:
        """Write the file with the outcomes of the gates before this one in it, and what calls need; its bytes by
        component, what was read back, and what calls need. This stage loses nothing, so it is taken in any case."""
        note = {"phase": "compress", "stages": [vars(gate) for gate in self.verdicts.gates]}
        embed_bits = self.params.embed_bits
        save_agent_file(self.path, model, tokenizer, vq=codes, embed_bits=embed_bits)
        read = load_agent_file(self.path)
        # Of the model as the file holds it, which has to be read before what the file tells of it can be written.
        confidence = self.run.evaluator(read.tokenizer).call_confidence(read.model)
        calls: dict[str, object] = {**confidence.to_metadata(), **self.run.own_tools.metadata()}
        sizes = save_agent_file(
            self.path, model, tokenizer, vq=codes, embed_bits=embed_bits, metadata={**note, **calls}
        )
        self.meter.attempt("hyper", read.model, read.tokenizer, self.path.stat().st_size)
        reached = self.score(read.model, read.tokenizer)
        self.verdicts.gates.append(
            judge_compression_attempt("hyper", "entropy coding", reached, kept, self.params.gates[2])
        )
        return sizes, read, calls
