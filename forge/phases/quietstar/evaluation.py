"""Do thoughts help? One checkpoint, the same problems, four ways to answer them.

off: without. on: with the most coherent thought, where it passes the threshold. pause: as many ``<|pause|>``
tokens in its place. shuffled: in its place the most coherent thought of another problem. The controls stand
in exactly where 'on' has a thought, so what differs is what is thought and nothing else; where nothing
passes, all four answer alike. No true answer is used before answers are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forge.data.render import ID, encode, render
from forge.data.tasks import Item, draw, score
from forge.evals.claims import Claim, compare
from forge.evals.suite import suite_tasks
from forge.model.engine import decode
from forge.model.titan import TinyTitanForCausalLM
from forge.thinking.coherence import COMPONENTS, derangement
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import (
    Ids,
    base_batch,
    chunks,
    decided_states,
    thought_batch,
    token_log_probs,
)
from forge.thinking.sampling import answer_thinking
from forge.thinking.thinker import PROMPTS_AT_ONCE, Thinker, Thoughts, draft_answers

CONDITIONS = ("off", "on", "pause", "shuffled")
SERIES = ("semantic_similarity", "logical_consistency", "relevance_score", "fluency_score")
Log = Callable[..., None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One suite problem as ids: prompt up to ``<|assistant|>``, true answer with ``<|end|>``."""

    prompt: list[int]
    answer: list[int]
    item: Item


@dataclass(frozen=True)
class Evaluation:
    """Per problem (p) by condition: exact match 0/1, log-likelihood of the true answer (nats); thoughts."""

    correct: dict[str, Floats]
    log_likelihood: dict[str, Floats]
    thoughts: list[Thoughts]

    @property
    def coherence(self) -> Floats:
        """Coherence of every thought (p,n)."""
        return np.concatenate([part.coherence for part in self.thoughts]).astype(np.float64)

    @property
    def passed(self) -> NDArray[np.bool_]:
        """Problems (p) in which a thought is mixed in."""
        return np.concatenate([part.passed for part in self.thoughts])

    @property
    def seconds(self) -> float:
        """Spent on sampling and scoring thoughts."""
        return sum(part.seconds for part in self.thoughts)


def suite_problems(tokenizer: object, n: int, seed: int, split: str) -> list[Problem]:
    """``n`` problems of every family: the ones that :func:`forge.evals.score_suite` scores."""
    out = []
    for name in suite_tasks():
        for item in draw(name, seed, n, split):
            turn = [{"role": "user", "content": item.prompt}]
            prompt = render(tokenizer, turn, generation_prompt=True)[0]  # type: ignore[arg-type]
            answer = [*encode(tokenizer, item.answer), ID["end"]]  # type: ignore[arg-type]
            out.append(Problem(prompt, answer, item))
    return out


def evaluate_thoughts(
    model: TinyTitanForCausalLM,
    tokenizer: object,
    thinker: Thinker,
    problems: Sequence[Problem],
    *,
    max_new_tokens: int,
    seed: int,
    log: Log | None = None,
) -> Evaluation:
    """Answer every problem under every condition. ``log(index, **series)`` gets one point for each part."""
    model.eval()
    prompts, answers = [p.prompt for p in problems], [p.answer for p in problems]
    drafts = draft_answers(model, prompts, max_new_tokens)
    thoughts = []
    for index, part in enumerate(chunks(len(problems), PROMPTS_AT_ONCE)):
        thoughts.append(thinker.think(model, prompts[part], drafts[part], seed + index))
        if log is not None:
            log(index, **step_metrics([thoughts[-1]], thinker.threshold))
    where = np.flatnonzero(np.concatenate([part.passed for part in thoughts]))
    insides = stand_ins([inside for part in thoughts for inside in part.chosen()], seed)
    made = {"off": drafts}
    likely = {"off": answer_likelihood(model, None, prompts, None, answers)}
    for name in CONDITIONS[1:]:
        ids, values = list(drafts), likely["off"].copy()
        chosen = [[rows[i] for i in where] for rows in (prompts, insides[name], answers)]
        if len(where):
            values[where] = answer_likelihood(model, thinker.gate, *chosen)
            replies = answer_thinking(model, thinker.gate, chosen[0], chosen[1], max_new_tokens)
            for i, reply in zip(where, replies, strict=True):
                ids[i] = reply
        made[name], likely[name] = ids, values
    correct = {
        name: np.array(
            [
                float(score(problem.item, decode(tokenizer, row)))  # type: ignore[arg-type]
                for problem, row in zip(problems, rows, strict=True)
            ]
        )
        for name, rows in made.items()
    }
    return Evaluation(correct, likely, thoughts)


def stand_ins(chosen: list[list[int]], seed: int) -> dict[str, list[list[int]]]:
    """What stands between ``<|think|>`` and ``<|/think|>`` in each condition but 'off'."""
    other = derangement(len(chosen), seed)
    return {
        "on": chosen,
        "pause": [[ID["pause"]] * len(inside) for inside in chosen],
        "shuffled": [chosen[i] for i in other],
    }


@torch.no_grad()
def answer_likelihood(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate | None,
    prompts: Sequence[Ids],
    insides: Sequence[Ids] | None,
    answers: Sequence[Ids],
) -> Floats:
    """Log-likelihood (p) of whole answers, nats, halting as decoding does; with a gate, thoughts mixed in."""
    table, out = model.embedding_weight(), []
    for part in chunks(len(prompts), PROMPTS_AT_ONCE):
        plain = base_batch(prompts[part], answers[part])
        states = decided_states(model, plain.ids, plain.select)
        if gate is not None and insides is not None:
            rows = thought_batch(prompts[part], insides[part], answers[part])
            after = decided_states(model, rows.ids, rows.select)[:, len(insides[0]) :]
            states = gate(states, after)[0]
        out.append((token_log_probs(states, table, plain.targets) * plain.valid).sum(1))
    return torch.cat(out).double().numpy()


def step_metrics(parts: Sequence[Thoughts], threshold: float) -> dict[str, float]:
    """The nine ``step/`` metrics: thoughts a part, then means over all thoughts of the parts."""
    coherence = np.concatenate([part.coherence.ravel() for part in parts])
    valid = coherence >= threshold
    raw = {
        name: float(np.concatenate([part.raw[component].ravel() for part in parts]).mean())
        for name, component in zip(SERIES, COMPONENTS, strict=True)
    }
    values = {
        "thoughts_generated": len(coherence) / len(parts),
        "thoughts_valid": float(valid.sum()) / len(parts),
        "validity_rate": float(valid.mean()),
        "avg_coherence": float(coherence.mean()),
        **raw,
        "processing_time_ms": 1000 * sum(part.seconds for part in parts) / len(coherence),
    }
    return {f"step/{name}": value for name, value in values.items()}


def phase_metrics(evaluation: Evaluation, threshold: float) -> dict[str, float]:
    """The ``phase/`` metrics but the duration, which the stage's lifecycle adds. Accuracies are shares."""
    coherence = evaluation.coherence
    valid = coherence >= threshold
    on, off = float(evaluation.correct["on"].mean()), float(evaluation.correct["off"].mean())
    return {
        "phase/total_thoughts_generated": float(coherence.size),
        "phase/total_thoughts_valid": float(valid.sum()),
        "phase/overall_validity_rate": float(valid.mean()),
        "phase/avg_coherence": float(coherence.mean()),
        "phase/accuracy_with_thoughts": on,
        "phase/accuracy_without_thoughts": off,
        "phase/accuracy_improvement": on - off,
    }


MAIN = "thoughts raise exact match on held-out problems"


def thought_claims(evaluation: Evaluation, *, n_boot: int, seed: int) -> list[Claim]:
    """'on' against each control, by exact match and by the true answer's log-likelihood; MAIN is the first.

    Then, where it is defined, the correlation of coherence with correctness.
    """
    words = {
        "off": (MAIN, "thoughts raise the likelihood of the true answer"),
        "pause": (
            "thoughts beat as many pause tokens at exact match",
            "thoughts beat as many pause tokens at the likelihood of the true answer",
        ),
        "shuffled": (
            "a problem's own thoughts beat those of another at exact match",
            "a problem's own thoughts beat those of another at the likelihood of the true answer",
        ),
    }
    note = f"a thought was mixed in for {int(evaluation.passed.sum())} of {len(evaluation.passed)} problems"
    claims = []
    for control, (matched, likely) in words.items():
        for text, metric, values in (
            (matched, "exact match", evaluation.correct),
            (likely, "log-likelihood of the answer (nats)", evaluation.log_likelihood),
        ):
            claims.append(
                compare(
                    text,
                    metric,
                    values["on"].tolist(),
                    values[control].tolist(),
                    control_name=f"thoughts {control}" if control == "off" else control,
                    note=note,
                    n_boot=n_boot,
                    seed=seed,
                )
            )
    correlation = correlation_claim(evaluation.coherence.max(axis=1), evaluation.correct["on"], n_boot, seed)
    return [*claims, *([] if correlation is None else [correlation])]


def correlation_claim(coherence: Floats, correct: Floats, n_boot: int, seed: int) -> Claim | None:
    """That the best thought's coherence goes with a right answer: point-biserial, bootstrap over problems.

    None where it is undefined: all answers right or all wrong, or one coherence throughout.
    """
    if len(np.unique(coherence)) < 2 or len(np.unique(correct)) < 2:
        return None
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(correct), size=(n_boot, len(correct)))
    values = _correlation(coherence[picks], correct[picks])
    low, high = np.percentile(values[np.isfinite(values)], [2.5, 97.5])
    value = float(_correlation(coherence[None], correct[None])[0])
    return Claim(
        claim="coherent thoughts go with right answers",
        metric="correlation of coherence and exact match",
        value=value,
        control="no correlation",
        control_value=0.0,
        ci95=(float(low), float(high)),
        n=len(correct),
        passed=bool(low > 0),
        seed=seed,
    )


def _correlation(x: Floats, y: Floats) -> Floats:
    """Pearson correlation along the last axis; NaN where a side is constant."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = (x * y).sum(-1) / spread
    return out
