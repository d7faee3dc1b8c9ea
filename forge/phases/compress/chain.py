"""Run the chain with its gates: a stage that fails is retried once at softer settings, then rolled back."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.agentfile.vq import FrozenVQ, VQState, decode_vq
from forge.data.build import Row, read_rows
from forge.data.views import bare_view
from forge.evals.suite import score_suite
from forge.evals.tool_use import score_tools
from forge.model import TinyTitanForCausalLM
from forge.phases.compress.metrics import StageMeter, codes_in_use, plain_bytes, stages_in_file
from forge.phases.compress.stages import (
    Gate,
    codebook_role,
    gate,
    prune_to,
    read_file,
    settle_vocabulary,
    train_codes,
    write_file,
)
from forge.tools import Toolbox


@dataclass
class Verdicts:
    """Gates passed through so far, how many attempts were undone, and the accuracy before the first of them."""

    before: float
    gates: list[Gate] = field(default_factory=list)
    rollbacks: int = 0

    def judge(self, verdict: Gate, forced: bool) -> bool:
        """Note a verdict; whether its attempt is taken. A byte budget takes it whatever it costs."""
        self.gates.append(verdict)
        taken = verdict.passed or forced
        self.rollbacks += not taken
        return taken


@dataclass(frozen=True)
class Chain:
    """What the chain made: verdicts, metrics of its stages, sizes by component, the file's model and tokenizer as read
    back, and the control whose codebooks were fitted without training."""

    verdicts: Verdicts
    measured: dict[str, float]
    sizes: dict[str, int]
    final: TinyTitanForCausalLM
    tokenizer: PreTrainedTokenizerFast
    posthoc: TinyTitanForCausalLM

    def metrics(self) -> dict[str, float]:
        """Bytes by component and stage, and of each stage's last attempt what it kept and whether its gate let it
        pass."""
        out = {**self.measured, **{f"bytes/{name}": count for name, count in self.sizes.items()}}
        for verdict in self.verdicts.gates:
            out[f"{verdict.stage}/accuracy"] = verdict.accuracy
            out[f"{verdict.stage}/retention"] = verdict.retention
            out[f"{verdict.stage}/gate_passed"] = float(verdict.passed)
        return {**out, "phase/rollbacks": self.verdicts.rollbacks}


def compress(
    run: Any, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: list[Row], path: Path
) -> Chain:
    """Squeeze ``model`` into the file ``path``. Gates judge on the validation split what each stage keeps of its
    input."""
    p, score = run.params, ValidationScore(run)
    verdicts, meter = Verdicts(before=score(model, tokenizer)), StageMeter(run, model, tokenizer)
    small, tokens, kept = _vocabulary(run, verdicts, meter, score, model, tokenizer, rows)
    data = bare_view(tokens, rows)
    codes: FrozenVQ | None = None
    final = small
    # The softer setting holds fewer weights in a code, so it spends more bits on each.
    for group in dict.fromkeys((p.vq_groups, max(1, p.vq_groups * 3 // 4))):
        trained, frozen = train_codes(run, small, data, group=group)
        write_file(path, trained, tokens, frozen, p.embed_bits, {})
        judged = read_file(path)
        reached = score(*judged)
        meter.attempt("vptq", *judged, plain_bytes(trained, tokens, frozen, p.embed_bits))
        setting = f"{p.vq_codebook} codes of {group} weights"
        threshold = max(p.gates[1], p.cumulative_gate * verdicts.before / kept if kept > 0 else 0.0)
        if verdicts.judge(gate("vptq", setting, reached, kept, threshold), p.budget_mb is not None):
            final, codes, kept = trained, frozen, reached
            break
    meter.done("vptq", codes is not None)
    note = {"phase": "compress", "stages": [vars(g) for g in verdicts.gates]}
    sizes = write_file(path, final, tokens, codes, p.embed_bits, note)
    read_model, read_tokens = read_file(path)
    meter.attempt("hyper", read_model, read_tokens, path.stat().st_size)
    verdicts.judge(gate("hyper", "entropy coding", score(read_model, read_tokens), kept, p.gates[2]), True)
    posthoc = rounded(small, p.vq_groups, p.vq_codebook, run.seed)
    measured = {
        **meter.metrics(),
        "compression/seedlm_vocab_size": len(read_tokens),
        "compression/vptq_codebook_size": codes_in_use(codes),
        "phase/stages_completed": stages_in_file((len(tokenizer), len(read_tokens)), codes),
    }
    return Chain(verdicts, measured, sizes, read_model, read_tokens, posthoc)


def _vocabulary(
    run: Any,
    verdicts: Verdicts,
    meter: StageMeter,
    score: ValidationScore,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[Row],
) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast, float]:
    """Vocabulary pruning, with a short recovery, at the size asked for, then at twice that, else not at all."""
    p, before = run.params, verdicts.before
    for size in (p.vocab_size, 2 * p.vocab_size):
        small, tokens = prune_to(model, tokenizer, rows, size)
        settle_vocabulary(run, small, bare_view(tokens, rows), name=f"vocabulary-{size}")
        reached = score(small, tokens)
        meter.attempt("seedlm", small, tokens, plain_bytes(small, tokens, None, p.embed_bits))
        verdict = gate("seedlm", f"{len(tokens)} tokens", reached, before, p.gates[0])
        if verdicts.judge(verdict, p.budget_mb is not None):
            meter.done("seedlm", True)
            return small, tokens, reached
    meter.done("seedlm", False)
    return model, tokenizer, before


class ValidationScore:
    """What gates decide on: suite accuracy with tools and success on tool dialogues, half each, on validation."""

    def __init__(self, run: Any) -> None:
        self.evaluation, self.workspace = run.evaluation, run.workspace_dir
        rows = [row for row in read_rows(run.data_dir / "val.jsonl") if row["kind"] == "tool"]
        self.dialogues = rows[: 5 * self.evaluation.tool_n]

    def __call__(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
        e = self.evaluation
        with Toolbox(self.workspace) as toolbox:
            suite = score_suite(
                model, tokenizer, n=e.suite_n, seed=e.seed, split="val", tools=True, execute=toolbox.execute,
                max_new_tokens=e.answer_tokens,
            )  # fmt: skip
            tools = score_tools(model, tokenizer, toolbox, self.dialogues, max_new_tokens=e.answer_tokens)
        return 0.5 * (suite.mean_accuracy + tools.success)


def rounded(model: TinyTitanForCausalLM, group: int, codes: int, seed: int) -> TinyTitanForCausalLM:
    """The control: the same codebooks fitted to finished weights, without training."""
    out = copy.deepcopy(model)
    weights = {f"{name}.weight": linear.effective_weight().detach() for name, linear in model.core_linears().items()}
    frozen = VQState.from_state_dict(weights, k=codes, v=group, role=codebook_role, seed=seed).freeze()
    out.set_weight_quant("frozen")
    linears = out.core_linears()
    for name, value in decode_vq(frozen).items():
        linears[name.removesuffix(".weight")].weight.data.copy_(value)
    return out.eval()
