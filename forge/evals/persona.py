"""Personas: does an answer sound like the persona that was asked for, and does it keep the facts?

Style has two measurements, neither of which looks for keywords that we chose. (1) A classifier trained on the training
split's persona answers names the persona of each answer that the model gives to held-out questions. (2) A
likelihood ratio: how much more probable the model finds a persona's held-out answer under that persona's
handle than under the other handles. Style is hollow without content (`persona_content`), so both are counted together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import MAX_NEW_TOKENS, Message, answer_all, eval_prompt_messages, eval_special_token_id
from forge.evals.bootstrap import mean_interval
from forge.evals.persona_content import keeps_persona_facts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class PersonaScore:
    """Shares in 0..1 unless named otherwise.

    personas: {persona: {"n", "consistency", "low", "high", "likelihood_ratio", "preferred", "content", "both"}}: share
    of generated answers that the classifier gives to the persona with its 95 % interval; nats per token by which
    the persona's own answers gain from its handle over the mean of the others; share of answers whose own
    handle is the likeliest; share that keeps the facts of the topic; share with both style and facts.
    consistency, preferred, content, both: means over personas. ceiling: the classifier's accuracy on held-out reference
    answers, the most that `consistency` can tell. correct, both_correct: per question, personas sorted, questions in
    the given order.
    """

    personas: dict[str, dict[str, float]]
    consistency: float
    likelihood_ratio: float
    preferred: float
    ceiling: float
    correct: list[float]
    answers: list[str] = field(default_factory=list)
    content: float = 0.0
    both: float = 0.0
    both_correct: list[float] = field(default_factory=list)


class PersonaClassifier:
    """Multinomial naive Bayes over words and word pairs (McCallum & Nigam 1998)."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.naive_bayes import MultinomialNB

        # Words, numbers and punctuation: style lives in all three.
        self._features = CountVectorizer(lowercase=True, ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]")
        self._bayes = MultinomialNB(alpha=0.5)
        self._fitted = False

    def fit(self, answers: Sequence[str], personas: Sequence[str]) -> PersonaClassifier:
        """Learn from answers and their personas (same length, at least two personas). Returns itself."""
        if len(answers) != len(personas):
            raise ForgeError(f"persona classifier: {len(answers)} answers but {len(personas)} labels")
        if len(set(personas)) < 2:
            raise ForgeError("persona classifier: needs answers of at least two personas")
        self._bayes.fit(self._features.fit_transform(answers), list(personas))
        self._fitted = True
        return self

    def predict(self, answers: Sequence[str]) -> list[str]:
        """The persona of each answer. Raises ForgeError before `fit`."""
        if not self._fitted:
            raise ForgeError("persona classifier: predict before fit")
        return [str(name) for name in self._bayes.predict(self._features.transform(answers))]


def eval_example_with_persona(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """(persona, question, answer) of a data row of kind "persona"; the persona is its handle turn, or the
    row's task.
    """
    by_role: dict[str, str] = {}
    for message in row["messages"]:
        by_role.setdefault(message["role"], message["content"])
    name = by_role.get("persona", row.get("task"))
    if not name or "user" not in by_role or "assistant" not in by_role:
        raise ForgeError("persona row without a persona, a question or an answer")
    return str(name), by_role["user"], by_role["assistant"]


def eval_answer_log_probs(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[list[Message]],
    *,
    batch_size: int = 32,
) -> list[float]:
    """Mean log-probability (nats per supervised token) of each conversation's assistant text."""
    import torch

    from forge.data.render import render
    from forge.model.log_probs import titan_log_probs_from_logits

    rendered = [render(tokenizer, list(messages)) for messages in conversations]
    pad = eval_special_token_id(tokenizer, "<|pad|>")
    scores: list[float] = []
    model.eval()
    with torch.no_grad():
        for start in range(0, len(rendered), batch_size):
            chosen = rendered[start : start + batch_size]
            width = max(len(ids) for ids, _ in chosen)
            ids = torch.full((len(chosen), width), pad, dtype=torch.long)
            mask = torch.zeros((len(chosen), width))
            for row, (tokens, supervised) in enumerate(chosen):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                mask[row, : len(tokens)] = torch.tensor(supervised, dtype=torch.float32)
            picked = titan_log_probs_from_logits(model(ids).logits[:, :-1].double(), ids[:, 1:]) * mask[:, 1:]
            scores.extend((picked.sum(1) / mask[:, 1:].sum(1).clamp(min=1)).tolist())
    return scores


def _eval_opening_messages(
    persona: str, question: str, prompts: Mapping[str, str] | None, handles: bool
) -> list[Message]:
    if prompts is not None:
        return eval_prompt_messages(question, system=prompts[persona])
    return eval_prompt_messages(question, persona=persona if handles else None)


def _eval_likelihood_ratios(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[tuple[str, str, str]],
    names: Sequence[str],
    prompts: Mapping[str, str] | None,
    handles: bool,
) -> dict[str, list[tuple[float, float]]]:
    """Per persona, per example: (nats per token gained by the own condition, 1.0 if it is the likeliest)."""
    conversations = [
        [*_eval_opening_messages(condition, question, prompts, handles), {"role": "assistant", "content": answer}]
        for _, question, answer in examples
        for condition in names
    ]
    scores = eval_answer_log_probs(model, tokenizer, conversations)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for index, (persona, _, _) in enumerate(examples):
        row = dict(zip(names, scores[index * len(names) : (index + 1) * len(names)], strict=True))
        own = row.pop(persona)
        found[persona].append((own - sum(row.values()) / len(row), float(own > max(row.values()))))
    return found


def score_personas(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    train_rows: Sequence[Mapping[str, Any]],
    test_rows: Sequence[Mapping[str, Any]],
    *,
    prompts: Mapping[str, str] | None = None,
    handles: bool = True,
    execute: Callable[[str], str] | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> PersonaScore:
    """Score persona consistency on held-out rows.

    Args:
        train_rows: rows of the training split; only the classifier sees them. test_rows: held-out rows.
        prompts: persona -> system text, for the prompted teacher; otherwise each persona's handle is
        used, or with
            handles=False nothing at all (the control that cannot know the persona).
        execute: call text -> result text, where tools may be used; by default they are banned.
    Raises ForgeError when a persona of the test rows was never seen in training, or there are fewer than two.
    """
    train = [eval_example_with_persona(row) for row in train_rows]
    test = sorted((eval_example_with_persona(row) for row in test_rows), key=lambda example: example[0])
    names = sorted({persona for persona, _, _ in test})
    unknown = set(names) - {persona for persona, _, _ in train}
    if unknown or len(names) < 2:
        raise ForgeError(f"persona evaluation: {'untrained ' + min(unknown) if unknown else 'fewer than two personas'}")
    classifier = PersonaClassifier().fit([row[2] for row in train], [row[0] for row in train])
    openings = [_eval_opening_messages(persona, question, prompts, handles) for persona, question, _ in test]
    made = answer_all(model, tokenizer, openings, execute=execute, max_new_tokens=max_new_tokens)
    answers = [answer.text for answer in made]
    hits = [float(got == row[0]) for got, row in zip(classifier.predict(answers), test, strict=True)]
    known = [float(got == row[0]) for got, row in zip(classifier.predict([r[2] for r in test]), test, strict=True)]
    facts = [float(keeps_persona_facts(row[1], answer)) for row, answer in zip(test, answers, strict=True)]
    ratios = _eval_likelihood_ratios(model, tokenizer, test, names, prompts, handles)
    table = _tabulate_eval_scores(names, [row[0] for row in test], hits, facts, ratios)
    return PersonaScore(
        personas=table,
        consistency=_mean(table, "consistency"),
        likelihood_ratio=_mean(table, "likelihood_ratio"),
        preferred=_mean(table, "preferred"),
        ceiling=sum(known) / len(known),
        correct=hits,
        answers=answers,
        content=_mean(table, "content"),
        both=_mean(table, "both"),
        both_correct=[hit * fact for hit, fact in zip(hits, facts, strict=True)],
    )


def _tabulate_eval_scores(
    names: Sequence[str],
    owners: Sequence[str],
    hits: Sequence[float],
    facts: Sequence[float],
    ratios: Mapping[str, Sequence[tuple[float, float]]],
) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for name in names:
        own = [(hit, fact) for hit, fact, owner in zip(hits, facts, owners, strict=True) if owner == name]
        share = mean_interval([hit for hit, _ in own])
        gains = ratios[name]
        table[name] = {
            "n": len(gains),
            "consistency": share.diff,
            "low": share.low,
            "high": share.high,
            "likelihood_ratio": sum(gain for gain, _ in gains) / len(gains),
            "preferred": sum(first for _, first in gains) / len(gains),
            "content": sum(fact for _, fact in own) / len(own),
            "both": sum(hit * fact for hit, fact in own) / len(own),
        }
    return table


def _mean(table: Mapping[str, Mapping[str, float]], key: str) -> float:
    return sum(row[key] for row in table.values()) / len(table)
