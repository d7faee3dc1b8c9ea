"""Prompts in, generations out: the one place where an evaluation calls the decoding engine.

Torch is imported inside the functions, because `forge.evals` is also read by commands that must start fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from forge.errors import ForgeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.model.calling import CallRules
    from forge.model.engine import Execute, Generation

Message = dict[str, str]
END = "<|end|>"
CALL = "<|call|>"
THINK = "<|think|>"
Thoughts = Literal["off", "on", "auto"]
PARTED = " / "  # between the answers to the parts of a question
FEW_WORDS = 4  # of a turn that may answer the agent's question
MOST_TURNS = 8  # of the user's, that are shown
NO_ANSWER = "I have no answer to that."
RETRY_TEMPERATURE = 0.5  # low: a call that is spelled otherwise, of the same meaning
# Longest answer where nobody says, to a person and in a measurement: room for a result of 200 characters and its
# repetition, or for the longest thought of the training data twice.
MAX_NEW_TOKENS = 256


def eval_special_token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a special token. Raises ForgeError for a tokenizer without it: not one of ours."""
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ForgeError(f"tokenizer: special token {token} is missing")
    return int(found)


def eval_prompt_messages(question: str, *, system: str | None = None, persona: str | None = None) -> list[Message]:
    """A one-question conversation. `persona` is a baked handle, `system` a prompt in words; each may be
    absent.
    """
    messages: list[Message] = []
    if persona is not None:
        messages.append({"role": "persona", "content": persona})
    if system is not None:
        messages.append({"role": "system", "content": system})
    messages.append({"role": "user", "content": question})
    return messages


def answer_all(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[list[Message]],
    *,
    execute: Execute | None,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    thoughts: Thoughts = "off",
    thinker: Any = None,
    hear: Callable[[str], None] | None = None,
    watch: Callable[[Sequence[int]], bool] | None = None,
    rules: CallRules | None = None,
    parted: bool = True,
) -> list[Generation]:
    """Continue every conversation; order is kept. Without `execute` the call token is banned. `thoughts`: banned, begun
    for every answer, or left to the model. With a `thinker` (see forge.thinking) several are thought and vote.
    `hear`, `watch` and `rules` are the engine's.

    `max_new_tokens` counts every token after the prompt, tool results included. Batching is the engine's. With `parted`
    a question that surely asks for several things is answered part by part, each as if it were asked alone.
    """
    from forge.data.render import render
    from forge.model.engine import generate

    parted = parted and execute is not None and thinker is None
    asked = [parts_that_matter(messages, rules, parted=parted) for messages in conversations]
    prompts = [
        render(tokenizer, messages, generation_prompt=True, thinking=thoughts == "on")[0]
        for parts in asked
        for messages in parts
    ]
    if thinker is not None:
        if execute is not None:
            raise ForgeError("thoughts that vote are for answers without tools; add --no-tools (in a chat: /tools off)")
        from forge.model.engine import decode_titan_output_ids

        voted = thinker.answer(model, prompts, max_new_tokens, seed)
        return [replace(answer, text=decode_titan_output_ids(tokenizer, answer.ids)) for answer in voted]
    banned = [token for token, wanted in ((CALL, execute is not None), (THINK, thoughts != "off")) if not wanted]
    made = generate(
        model,
        prompts,
        max_new_tokens=max_new_tokens,
        tokenizer=tokenizer,
        execute=execute,
        temperature=temperature,
        seed=seed,
        ban_ids=[eval_special_token_id(tokenizer, token) for token in banned],
        hear=hear,
        watch=watch,
        rules=rules,
    )
    answers = iter(made)
    return [join_answers_to_parts([with_tool_result_shown(next(answers)) for _ in parts]) for parts in asked]


def join_answers_to_parts(parts: Sequence[Generation]) -> Generation:
    """One answer to all parts of a question, that of a part alone where it is the only one."""
    if len(parts) == 1:
        return parts[0]
    left = next((part for part in parts if part.pending), parts[-1])  # of several calls that are unsure one is told
    told = dict.fromkeys(answer_of_generation(part) for part in parts)

    def of_calls(scores: Callable[[Generation], list[float]]) -> list[float]:
        """What is known of the calls that were run, then of the one that was not."""
        run = [score for part in parts for score in scores(part)[: len(part.calls)]]
        return run + scores(left)[len(left.calls) :]

    return replace(
        left,
        ids=[token for part in parts for token in part.ids],
        calls=[call for part in parts for call in part.calls],
        thought="\n".join(part.thought for part in parts if part.thought),
        text=PARTED.join(told),
        steps=sum(part.steps * len(part.ids) for part in parts) / max(1, sum(len(part.ids) for part in parts)),
        finished=all(part.finished for part in parts),
        call_scores=of_calls(lambda part: part.call_scores),
        confidences=of_calls(lambda part: part.confidences),
        parts=len(parts),
    )


def parts_that_matter(
    messages: Sequence[Message], rules: CallRules | None, *, parted: bool = True
) -> list[list[Message]]:
    """A conversation without the turns that have nothing to do with its last one; if `parted`, once for every part of
    that, unless it leans on an earlier turn."""
    kept = turns_that_matter(messages, rules)
    *before, last = kept
    alone = last["role"] == "user" and not any(message["role"] == "user" for message in before)
    if not parted or rules is None or rules.grammar is None or not alone:
        return [kept]
    parts = rules.grammar.parts(" ".join(last["content"].split()))
    return [[*before, {**last, "content": part}] for part in parts] or [kept]


def turns_that_matter(messages: Sequence[Message], rules: CallRules | None) -> list[Message]:
    """A conversation without the turns that have nothing to do with its last one: of those before, the ones that it, or
    one that is kept, leans on.

    Training has few dialogues of two turns, and turns about something else lead a small model astray. What comes before
    the user's first turn stays.
    """
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if rules is None or rules.grammar is None or len(users) < 2:
        return list(messages)
    asked = [" ".join(messages[place]["content"].split()) for place in users]
    first = len(users) - 1
    while first > max(0, len(users) - MOST_TURNS):
        before = messages[users[first] - 1]
        short = before["role"] == "assistant" and len(asked[first].split()) <= FEW_WORDS
        answers = short and before["content"].rstrip().endswith("?")
        if not (answers or rules.grammar.leans("\n".join(asked[: first + 1]))):
            break
        first -= 1
    return [*messages[: users[0]], *messages[users[first] :]]


def with_tool_result_shown(made: Generation) -> Generation:
    """An answer that ended without a word of its own after a call shows what the call gave."""
    from forge.data.render import render_answer_after_tool_result

    if not made.calls or made.pending or not made.finished or made.text.strip():
        return made
    return replace(made, text=render_answer_after_tool_result(made.calls[-1][1]))


def tool_refused_last_call(made: Generation) -> bool:
    """Whether an answer came after a call that its tool refused: then it is tried once more, at `RETRY_TEMPERATURE`."""
    from forge.data.render import TOOL_ERROR

    return bool(made.calls) and not made.pending and made.calls[-1][1].startswith(TOOL_ERROR)


def answer_at_second_try(first: Generation, second: Generation) -> Generation:
    """The second of two tries, with the calls of both: all were made."""
    return replace(
        second,
        ids=[*first.ids, *second.ids],
        calls=[*first.calls, *second.calls],
        call_scores=[*first.call_scores, *second.call_scores],
        confidences=[*first.confidences, *second.confidences],
    )


def answer_in_plain_words(text: str, result: str | None) -> str:
    """What a person reads: an answer that is never empty, and after a call that failed says that it did, whatever the
    model made of it. `result`: of the last call; None where there was none."""
    from forge.data.render import TOOL_ERROR, render_answer_after_tool_result

    if result is not None and (result.startswith(TOOL_ERROR) or not text.strip()):
        return render_answer_after_tool_result(result)
    return text if text.strip() else NO_ANSWER


def answer_of_generation(made: Generation, given: str | None = None) -> str:
    """What a person reads of an answer. `given`: the result that the conversation ended with, where that made no
    call."""
    if made.parts > 1 and made.text.strip():  # each part says how it went
        return made.text
    return answer_in_plain_words(made.text, made.calls[-1][1] if made.calls else given)
