"""The stages of final compression and their chain: what the file holds is what was judged, failures are undone."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from forge.agentfile.container import read_agent
from forge.agentfile.header import open_agent_file
from forge.agentfile.model import load_agent_file, save_agent_file
from forge.agentfile.vocabulary import PrunedVocabulary, prune_agent_file_vocabulary
from forge.agentfile.vq import FrozenVQ
from forge.data.build import Row
from forge.data.render import render, tokenize_text
from forge.data.views import dataset_without_prompts
from forge.errors import Interrupted
from forge.evals.evaluator import Evaluator
from forge.evals.tool_use import ToolScore
from forge.files import save_safetensors_file
from forge.interface.paths import SETTLED
from forge.interface.phase import FULL_PRECISION
from forge.interface.run import Published
from forge.model import TinyTitanForCausalLM, save_model
from forge.model.calling import Calibration
from forge.phases.compress import chain as module
from forge.phases.compress import gates, student, vocabulary_pruning
from forge.phases.compress.chain import Compressed, compress_into_file
from forge.phases.compress.claims import compression_claims
from forge.phases.compress.gates import ValidationScore, judge_compression_attempt
from forge.phases.compress.metrics import Perplexity, compressed_file_metrics, compression_stage_bytes
from forge.phases.compress.params import TokenWeights
from forge.phases.compress.run import run as run_phase
from forge.phases.compress.student import choose_compression_student_shape
from forge.phases.compress.vector_quantization import (
    compress_core_while_training,
    compress_core_without_training,
    fit_compression_codebooks,
)
from forge.phases.compress.vocabulary_pruning import train_compressed_vocabulary, with_compressed_vocabulary
from forge.tools import set_up_tool_workspace
from tests.support.declared import declared
from tests.support.stub_run import StubRun, conversation, conversations, measured, smoke_params, write_rows
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens

pytestmark = pytest.mark.long

PARAMS = smoke_params(
    "compress",
    vocab_size=290,
    steps=6,
    lr=0.01,
    batch_tokens=200,
    vq_groups=4,
    vq_codebook=16,
    embed_bits=4,
    gates=[0.98, 0.95, 0.9],
    cumulative_gate=0.5,
    vocabulary_steps=0.5,
    retry_vocabulary=2.0,
    retry_groups=0.75,
)
WEIGHTS: TokenWeights = PARAMS["token_weights"]
ROWS = conversations()
VOCAB = len(tiny_tokenizer())


def ternary(**changes: Any) -> TinyTitanForCausalLM:
    shape = {"vocab_size": VOCAB, "max_steps": 2, "weight_quant": "ternary", "act_bits": 8, "embed_bits": 8}
    return tiny_model(**shape, **changes)


def logits(model: TinyTitanForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids).logits


def state(model: TinyTitanForCausalLM) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def codes_of(run: StubRun, teacher: TinyTitanForCausalLM) -> tuple[TinyTitanForCausalLM, FrozenVQ]:
    return compress_core_while_training(run, teacher, dataset_without_prompts(tiny_tokenizer(), ROWS), group=4)


# ---- vocabulary ----------------------------------------------------------------------------------------------


def old_ids(small: PreTrainedTokenizerFast) -> list[int]:
    """For every new id the id that the token had."""
    before, after = tiny_tokenizer().get_vocab(), small.get_vocab()
    return [before[token] for token in sorted(after, key=after.__getitem__)]


def test_a_pruned_model_keeps_rows_and_logits() -> None:
    model = ternary()
    small, tokenizer = with_compressed_vocabulary(model, tiny_tokenizer(), ROWS, 290, WEIGHTS)
    kept = old_ids(tokenizer)
    assert len(kept) == len(tokenizer) == small.config.vocab_size <= 290
    assert torch.equal(small.embed.weight, model.embed.weight[kept])
    new = torch.randint(14, len(kept), (3, 12), generator=torch.Generator().manual_seed(0))
    old = torch.tensor(kept)[new]
    torch.testing.assert_close(logits(small, new), logits(model, old)[..., kept], atol=1e-5, rtol=1e-5)
    rest = set(state(model)) - {"embed.weight"}
    assert all(torch.equal(state(small)[name], state(model)[name]) for name in rest)
    assert small.config.weight_quant == "ternary"
    assert model.config.vocab_size == VOCAB


def test_a_pruned_tokenizer_still_spells_everything() -> None:
    _, tokenizer = with_compressed_vocabulary(ternary(), tiny_tokenizer(), ROWS, 290, WEIGHTS)
    for text in ("What is 12 + 30? Give only the result.", "Use calculator: {x}~!", "the cat sat"):
        assert tokenizer.decode(tokenize_text(tokenizer, text)) == text
    worked = conversation("worked", 12)["messages"]
    written = "<|user|>What is 12 + 30?<|assistant|><|think|>12+30=42<|/think|>42<|end|>"
    assert tokenizer.decode(render(tokenizer, worked)[0]) == written


def test_of_many_rows_an_even_share_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [conversation(kind, 11 + i) for kind in ("tooled", "worked") for i in (0, 0, 1, 1)]
    seen: list[np.ndarray] = []

    def prune(tokenizer: Any, counts: np.ndarray, size: int) -> PrunedVocabulary:
        seen.append(counts)
        return prune_agent_file_vocabulary(tokenizer, counts, size=size)

    monkeypatch.setattr(vocabulary_pruning, "prune_agent_file_vocabulary", prune)
    for most in (4, 2):
        monkeypatch.setattr(vocabulary_pruning, "MOST_ROWS", most)
        with_compressed_vocabulary(ternary(), tiny_tokenizer(), rows, 290, WEIGHTS)
    assert seen[0].sum() > 0
    assert (seen[0] == seen[1]).all()


def test_the_words_of_talk_stay_and_those_of_results_do_not_count() -> None:
    talk = {"kind": "tool", "messages": [{"role": role, "content": role * 2} for role in ("user", "assistant")]}
    assert vocabulary_pruning._compression_vocabulary_texts(talk) == ["useruser", "assistantassistant"]
    _, user, call, *_ = conversation("tool", 12)["messages"]
    called = vocabulary_pruning._compression_vocabulary_texts(conversation("tool", 12))
    assert called == [user["content"], call["content"]]


def test_prose_does_not_decide_what_stays() -> None:
    rows = [conversation("direct", i) for i in range(5)]
    prose = [{"kind": "text", "task": "text", "text": "hello world " * 500, "difficulty": 0.5}]
    plain, with_prose = (
        with_compressed_vocabulary(ternary(), tiny_tokenizer(), r, 290, WEIGHTS)[1] for r in (rows, rows + prose)
    )
    assert plain.get_vocab() == with_prose.get_vocab()


def test_nothing_is_pruned_where_there_is_room() -> None:
    small, _ = with_compressed_vocabulary(ternary(), tiny_tokenizer(), ROWS, 4096, WEIGHTS)
    assert small.config.vocab_size <= VOCAB


def test_a_pruned_model_is_trained_as_the_file_will_hold_it(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **PARAMS), ternary()
    before = state(model)
    train_compressed_vocabulary(run, model, dataset_without_prompts(tiny_tokenizer(), ROWS), "vocabulary")
    assert model.config.embed_bits == 4
    assert not same(state(model), before)
    assert not model.training
    assert run.logged[-1][0] == 3


# ---- codes ---------------------------------------------------------------------------------------------------


def test_the_file_computes_exactly_what_was_trained(tmp_path: Path) -> None:
    teacher, ids = ternary(), tokens(3, 10, vocab=VOCAB)
    before, weights = logits(teacher, ids), state(teacher)
    trained, frozen = codes_of(StubRun(tmp_path, **PARAMS), teacher)
    assert torch.equal(logits(teacher, ids), before)
    assert same(state(teacher), weights)
    path = tmp_path / "agent.forge"
    sizes = save_agent_file(path, trained, tiny_tokenizer(), vq=frozen, embed_bits=4, metadata={"made_by": "test"})
    assert sum(sizes.values()) == path.stat().st_size
    judged, tokenizer, _ = load_agent_file(path)
    assert tokenizer.get_vocab() == tiny_tokenizer().get_vocab()
    core = {f"{name}.weight" for name in trained.core_linears()}
    rounded_small = copy.deepcopy(trained)
    with torch.no_grad():
        for name, parameter in rounded_small.named_parameters():
            if name not in core and name != "embed.weight":
                parameter.copy_(parameter.half().float())
    assert all(torch.equal(state(judged)[name], state(trained)[name]) for name in core)
    assert torch.equal(judged.embed.weight, trained.embedding_weight())
    assert torch.equal(logits(judged, ids), logits(rounded_small, ids))
    assert torch.equal(logits(load_agent_file(path).model, ids), logits(judged, ids))
    assert all(parameter.requires_grad for parameter in trained.parameters())


def indices(frozen: FrozenVQ) -> np.ndarray:
    return np.concatenate([matrix.indices.reshape(-1) for matrix in frozen.matrices.values()])


def test_training_moves_codes_and_codebooks(tmp_path: Path) -> None:
    teacher = ternary()
    run = StubRun(tmp_path, **{**PARAMS, "steps": 12, "lr": 0.1})
    start = fit_compression_codebooks(run, teacher, 4).freeze()
    trained, frozen = codes_of(run, teacher)
    assert set(frozen.codebooks) == {"attention", "ffn"}
    assert frozen.matrices["memory.q.weight"].codebook == "attention"
    assert (indices(frozen) != indices(start)).any()
    assert (frozen.codebooks["ffn"].codes != start.codebooks["ffn"].codes).any()
    control = compress_core_without_training(run, teacher)
    assert not hasattr(trained, "vq")
    assert control.config.weight_quant == "frozen"
    query, learned = (model.core_linears()["low.0.attn.q"].weight for model in (control, trained))
    assert not torch.equal(query, learned)
    assert len(torch.unique(query)) > 3
    assert teacher.config.weight_quant == "ternary"


def test_codes_that_were_interrupted_end_the_same(tmp_path: Path) -> None:
    straight, codes = codes_of(StubRun(tmp_path / "a", **PARAMS), ternary())
    run = StubRun(tmp_path / "b", **PARAMS)
    run.stop_at = 5
    with pytest.raises(Interrupted):
        codes_of(run, ternary())
    resumed, again = codes_of(run, ternary())
    assert same(state(resumed), state(straight))
    assert (indices(again) == indices(codes)).all()


# ---- gates and the chain -------------------------------------------------------------------------------------


def test_gate_arithmetic() -> None:
    verdict = judge_compression_attempt("vptq", "16 codes", 0.45, 0.5, 0.9)
    assert (verdict.retention, verdict.passed) == (0.9, True)
    assert not judge_compression_attempt("vptq", "16 codes", 0.44, 0.5, 0.9).passed
    assert judge_compression_attempt("x", "", 0.6, 0.5, 1.0).retention == 1.2
    # A model that knew nothing has nothing to lose.
    assert judge_compression_attempt("x", "", 0.0, 0.0, 0.95).passed


class Script:
    """Validation scores in the order in which the chain asks for them."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.sizes: list[int] = []

    def __call__(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
        self.sizes.append(len(tokenizer))
        return self.scores.pop(0)


def run_chain(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *scores: float,
    budget: int | None = None,
    model: Any = None,
    **changes: Any,
) -> tuple[Compressed, Path, Script]:
    script = Script(*scores)
    monkeypatch.setattr(module, "ValidationScore", lambda run: script)
    monkeypatch.setattr(Evaluator, "call_confidence", lambda *given: Calibration(0.5, -1.0))
    write_rows(folder / "val.jsonl", conversations(2))
    run, path = StubRun(folder, **{**PARAMS, "steps": 2, **changes}), folder / "agent.forge"
    whole = ternary() if model is None else model
    shape = None if budget is None else choose_compression_student_shape(whole.config, run.params, budget)
    chain = compress_into_file(run, whole, tiny_tokenizer(), ROWS, path, shape)
    assert not script.scores
    model, tokenizer, _ = load_agent_file(path)
    ids = tokens(2, 8, vocab=len(tokenizer))
    assert torch.equal(logits(model, ids), logits(chain.final, ids))
    assert sum(chain.sizes.values()) == path.stat().st_size
    assert chain.sizes == open_agent_file(path).bytes_by_component()
    assert chain.untrained.config.vocab_size == model.config.vocab_size == len(tokenizer)
    return chain, path, script


def passed(chain: Compressed) -> list[tuple[str, bool]]:
    return [(verdict.stage, verdict.passed) for verdict in chain.verdicts.gates]


def test_a_chain_that_passes_every_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, path, script = run_chain(tmp_path, monkeypatch, 0.5, 0.5, 0.49, 0.45)
    assert passed(chain) == [("seedlm", True), ("vptq", True), ("hyper", True)]
    assert [round(verdict.retention, 3) for verdict in chain.verdicts.gates] == [1.0, 0.98, 0.918]
    assert chain.verdicts.rollbacks == 0
    assert script.sizes[0] == VOCAB
    assert script.sizes[1] <= 290
    noted = read_agent(path).metadata
    assert [row["stage"] for row in noted["stages"]] == ["seedlm", "vptq"]
    assert noted["call_confidence"] == chain.calls["call_confidence"] == {"slope": 0.5, "intercept": -1.0}
    assert "codebooks" in chain.sizes


def test_a_failed_stage_is_tried_again_at_softer_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, _, script = run_chain(tmp_path, monkeypatch, 0.5, 0.4, 0.5, 0.1, 0.5, 0.5, vocab_size=114)
    assert passed(chain) == [("seedlm", False), ("seedlm", True), ("vptq", False), ("vptq", True), ("hyper", True)]
    assert chain.verdicts.rollbacks == 2
    assert script.sizes[1] == 114 < script.sizes[2]
    settings = [verdict.setting for verdict in chain.verdicts.gates]
    assert settings[2:4] == ["16 codes of 4 weights", "16 codes of 3 weights"]
    assert len(set(settings)) == 5


def test_a_stage_that_fails_twice_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, path, _ = run_chain(tmp_path, monkeypatch, 0.5, 0.4, 0.4, 0.1, 0.1, 0.5)
    assert passed(chain) == [("seedlm", False)] * 2 + [("vptq", False)] * 2 + [("hyper", True)]
    assert chain.verdicts.rollbacks == 4
    # Nothing of the failed attempts is left: all tokens, and the ternary core of the model that came in.
    assert len(chain.tokenizer) == VOCAB
    assert "codebooks" not in chain.sizes
    whole = ternary()
    for name, linear in whole.core_linears().items():
        assert torch.equal(chain.final.core_linears()[name].weight, linear.effective_weight())
    # The last gate measures against what went in, not against an attempt that was undone.
    assert chain.verdicts.gates[-1].retention == 1.0
    assert path.is_file()


def test_what_fits_a_budget_as_it_is_needs_no_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, _, _ = run_chain(tmp_path, monkeypatch, 0.5, 0.5, 0.49, 0.49, budget=350_000)
    assert passed(chain) == [("seedlm", True), ("vptq", True), ("hyper", True)]
    assert (
        chain.final.num_parameters()
        == with_compressed_vocabulary(ternary(), tiny_tokenizer(), ROWS, 290, WEIGHTS)[0].num_parameters()
    )


def test_a_small_budget_is_met_by_a_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student, "LEAST_TOKENS", 290)
    scores, settings = (0.5, 0.1, 0.05, 0.05, 0.1), {"student_steps": 2, "embed_bits": 3}
    large = ternary(low_ffn=[2048, 2048])
    chain, path, _ = run_chain(tmp_path, monkeypatch, *scores, budget=12_000, model=large, **settings)
    assert passed(chain) == [("seedlm", False), ("vptq", False), ("vptq", False), ("hyper", True)]
    assert path.stat().st_size <= 12_000
    assert "codebooks" not in chain.sizes, "a student is taken whatever it lost, codes only by their gate"
    shape = chain.final.config
    assert (shape.hidden_size, len(shape.low_heads), len(shape.high_heads)) == (32, 2, 1)
    assert chain.final.num_parameters() < large.num_parameters() / 2
    assert "parameters" in chain.verdicts.gates[0].setting


def test_gates_ask_the_validation_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    write_rows(tmp_path / "val.jsonl", [conversation("direct", 1), *(conversation("tool", i) for i in range(9))])
    asked: dict[str, Any] = {}
    ways: list[str] = []

    def suite(model: Any, tokenizer: Any, **options: Any) -> Any:
        ways.append(f"tools {options['tools']}, thoughts {options.get('thoughts', 'off')}")
        if options["tools"]:
            asked.update(options, answer=options["execute"]("calculator 3+4"))
        return measured([0.0, 1.0], [1.0, 1.0]).tools if options["tools"] else measured([0.0, 0.0], [1.0]).thoughts

    monkeypatch.setattr(gates, "score_suite", suite)

    def tools(model: Any, tokenizer: Any, box: Any, rows: list[Row], *, max_new_tokens: int, rules: Any) -> ToolScore:
        asked["tool_tokens"] = max_new_tokens
        assert rules.grammar is not None
        return ToolScore({}, len(rows) / 10, 0.0, 0.0, [])

    monkeypatch.setattr(gates, "score_tool_use", tools)
    run = StubRun(tmp_path)
    score, model = ValidationScore(run), ternary()
    assert score(model, tiny_tokenizer()) == pytest.approx((1.0 + 0.0 + 0.5) / 3)
    assert ways == ["tools True, thoughts off", "tools False, thoughts on"]
    assert score(ternary(), tiny_tokenizer()) == score(model, tiny_tokenizer())
    assert len(ways) == 2, "the same weights are not asked again"
    with torch.no_grad():
        model.embed.weight[0] += 1
    score(model, tiny_tokenizer())
    assert len(ways) == 4
    assert (asked["split"], asked["tools"], asked["n"], asked["answer"]) == ("val", True, 2, "7")
    assert asked["max_new_tokens"] == asked["tool_tokens"] == run.evaluation.answer_tokens


# ---- metrics -------------------------------------------------------------------------------------------------


def test_the_chain_and_the_file_record_their_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, path, _ = run_chain(tmp_path, monkeypatch, 0.5, 0.5, 0.49, 0.45)
    set_up_tool_workspace(tmp_path / "workspace")
    write_rows(tmp_path / "test.jsonl", conversations(2))
    monkeypatch.setattr(Evaluator, "measure", lambda *given: measured([0.0], [0.0], [0.5, 0.5]))
    first = Published(tiny_model(vocab_size=VOCAB), tiny_tokenizer(), tmp_path)
    found = chain.metrics() | compressed_file_metrics(StubRun(tmp_path), path, measured([1.0], [1.0]), first, 2**20)
    assert declared("compress") <= set(found)
    assert all(math.isfinite(value) for value in found.values())
    ratios = [found[f"compression/{stage}_ratio"] for stage in ("seedlm", "vptq", "hyper")]
    assert math.prod(ratios) == pytest.approx(found["seedlm/size_mb_in"] / found["hyper/size_mb_out"])
    assert found["hyper/size_mb_out"] == found["size/final_mb"] == path.stat().st_size / 2**20
    assert found["seedlm/size_mb_out"] == found["vptq/size_mb_in"]
    assert found["compression/seedlm_vocab_size"] == len(chain.tokenizer)
    assert 2 <= found["compression/vptq_codebook_size"] <= 32
    assert (found["phase/stages_completed"], found["phase/rollbacks"], found["seedlm/gate_passed"]) == (3, 0, 1.0)
    assert found["quality/accuracy_vs_phase1"] == 2.0
    assert found["phase/final_compression_level"] == 8 * path.stat().st_size / first.model.num_parameters()


def test_an_undone_stage_saves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, _, _ = run_chain(tmp_path, monkeypatch, 0.5, 0.4, 0.4, 0.1, 0.1, 0.5)
    found = chain.metrics()
    for stage in ("seedlm", "vptq"):
        assert found[f"compression/{stage}_ratio"] == 1.0
        assert found[f"{stage}/gate_passed"] == 0.0
    assert (found["compression/vptq_codebook_size"], found["phase/stages_completed"]) == (0, 1)
    assert found["compression/hyper_ratio"] > 1
    assert found["phase/rollbacks"] == 4


def test_plain_bytes_by_hand() -> None:
    model = ternary()
    core = sum(linear.weight.numel() for linear in model.core_linears().values())
    rest = sum(w.numel() for w in state(model).values()) - core - model.embed.weight.numel()
    bits = core * 1.6 + 32 * len(model.core_linears()) + model.embed.weight.numel() * 8 + VOCAB * 16 + rest * 16
    spelled = len(tiny_tokenizer().backend_tokenizer.to_str().encode())
    assert compression_stage_bytes(model, tiny_tokenizer(), None, 8) == math.ceil(bits / 8) + spelled
    assert compression_stage_bytes(model, tiny_tokenizer(), None, 4) < compression_stage_bytes(
        model, tiny_tokenizer(), None, 8
    )


def test_perplexity_does_not_depend_on_how_text_is_cut() -> None:
    """A uniform model over v tokens pays log v for each of its own tokens, counted per original token."""
    measure = Perplexity(ROWS, tiny_tokenizer())
    model = ternary()
    with torch.no_grad():
        model.embed.weight.zero_()
    assert measure(model, tiny_tokenizer()) == pytest.approx(VOCAB, rel=1e-4)
    small, tokenizer = with_compressed_vocabulary(model, tiny_tokenizer(), [conversation("direct", 1)], 290, WEIGHTS)
    data = dataset_without_prompts(tokenizer, measure.rows)
    wanted = len(tokenizer) ** (data.mask.sum() / measure.tokens)
    assert measure(small, tokenizer) == pytest.approx(wanted, rel=1e-4)
    assert wanted != pytest.approx(len(tokenizer), rel=1e-3)


# ---- claims --------------------------------------------------------------------------------------------------


def test_compression_claims(tmp_path: Path) -> None:
    run, most, none = StubRun(tmp_path), [1.0] * 20, [0.0] * 20
    good, bad = measured(none, most, thoughts=most), measured(none, none)
    used, unused = (ToolScore({}, c[0], 0.0, 0.0, c) for c in (most, none))
    claims = compression_claims(run, good, good, (most, none), (used, used), (40.0, 40.0))
    assert [claim.passed for claim in claims] == [True] * 5
    assert (claims[4].value, claims[4].control_value) == (40.0, 40.0)
    claims = compression_claims(run, good, bad, (none, none), (unused, used), (39.99, 40.0))
    assert [claim.passed for claim in claims] == [False] * 5
    claims = compression_claims(
        run, good, measured(none, most, thoughts=none), (none, none), (used, used), (40.0, 40.0)
    )
    assert [claim.passed for claim in claims] == [True, False, False, True, True], (
        "a file without codebooks is no codebooks"
    )


# ---- the phase -----------------------------------------------------------------------------------------------


def test_the_phase_as_a_whole(tmp_path: Path) -> None:
    run, trunk = StubRun(tmp_path, **{**PARAMS, "steps": 2}), tmp_path / "trunk"
    run.evaluation.answer_tokens = 4
    run.prepare("edge", ternary())
    run.models["baking"] = run.models["edge"]
    run.models["trunk"] = Published(tiny_model(vocab_size=VOCAB), tiny_tokenizer(), trunk)
    save_model(run.models["trunk"].model, trunk)
    save_safetensors_file(trunk / SETTLED, dict(run.models["trunk"].model.state_dict()))
    tiny_tokenizer().save_pretrained(str(trunk))
    run_phase(run)  # type: ignore[arg-type]
    original = sum((trunk / name).stat().st_size for name in (*FULL_PRECISION[:3], "tokenizer_config.json"))
    path = run.out_dir / "agent.forge"
    assert run.headline["size/original_bytes"] == original
    assert run.headline["size/final_bytes"] == path.stat().st_size
    assert set(run.metrics) >= declared("compress")
    assert len(run.claims) == 5
    ((metadata, files),) = run.published
    assert metadata["compression_ratio"] == original / path.stat().st_size
    assert metadata["parameters"] == load_agent_file(path).model.num_parameters()
    assert not files
    assert [directory for _, directory, _ in run.rows_of_ledger] == [run.out_dir]
