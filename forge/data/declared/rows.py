"""Rows from declared tools: dialogues of seven kinds for train, val and test, no sentence of one in another.

Held out in val and test: a tenth each of every tool's (frame, example) pairs and of the templates of talk, and, where
the slots of a sentence have at least 64 values together, the calls themselves by the hash of their text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from forge.data.declared.chatter import (
    MENTION_ANSWER,
    OFF_TOPIC_ANSWER,
    Chatter,
    ToolWords,
    chatter_by_split,
    mention_sentence,
    off_topic_sentence,
    unknown_thing_for_row,
)
from forge.data.declared.following import (
    changed_value_for_row,
    row_can_change_value,
    say_change_in_row,
    say_missing_value_in_row,
)
from forge.data.declared.sentences import fill_template, frame_row_words, say_framed_row, type_sentence
from forge.data.declared.templates import (
    BARE,
    Framed,
    Template,
    enum_slots,
    framed_by_split,
    hold_out_tenths,
    left_out_templates,
    plain_words_of_row,
    row_template_of_example,
    row_templates_told_apart,
)
from forge.data.declared.values import Said, draw_value
from forge.data.declared.word_lists import WORD_LISTS
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.errors import ForgeError
from forge.tools.calls import tool_call_text
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool, tool_example_slots

Row = dict[str, Any]
Message = dict[str, str]
# Of all rows. mention: about the tools' things, asking for nothing; unknown: orders for things that are not there.
SHARES = {
    "call": 0.41,
    "two": 0.18,
    "missing": 0.09,
    "offtopic": 0.125,
    "mention": 0.055,
    "followup": 0.11,
    "unknown": 0.03,
}
NO_RESULT = "ok"
_TRIES = 200
_BARE = 0.3  # share of calls that are asked for without a frame, where the split has such
_SAME_AGAIN = 0.3  # share of double requests that name the second thing only: "the hall light and the desk lamp"
_ANSWERED = 0.35  # share of follow-ups that answer the assistant's question
_JOINS = (" and ", ", and ", " and then ", ", then ", ". Then ", ". ", " and also ", ", also ", " plus ", "; ")
# Behind a free text only these, which it does not run into.
_HARD_JOINS = (", then ", ". Then ", ". ", "; ")
_DOUBLE_FRAMES = (BARE, BARE, "please {}", "could you {}?", "can you {}?", "hey, {}", "I want you to {}", "now {}")


def confirm_call(tool: DeclaredTool, arguments: Mapping[str, Any], result: str) -> str:
    """What the agent says after a call: its result, or where that is a mere `ok`, what was done."""
    if result != NO_RESULT:
        return result
    said = [tool.name.replace("_", " ").replace("-", " ")]
    for name, value in arguments.items():
        told = [say_argument_in_row(item) for item in _as_list(value)]
        said += [f"{name.replace('_', ' ')} {told[0]}"] if isinstance(value, bool) else told
    return f"Done: {', '.join(said)}."


def say_argument_in_row(value: Any) -> str:
    """A plain value as answers have it: yes and no, numbers without needless digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class OwnRowMaker:
    """Draws rows of declared tools, of one split at a time.

    Raises:
        ForgeError: no tool has an example.
    """

    def __init__(self, tools: Sequence[DeclaredTool], split: str) -> None:
        self.split = split
        self.tools = [tool for tool in tools if tool.examples]
        if not self.tools:
            raise ForgeError("own tools: none has an example sentence, so there is nothing to train on")
        self.words = ToolWords(tuple(tools))
        self.chatter: Chatter = chatter_by_split()[split]
        whole = {t.name: [row_template_of_example(t, example) for example in t.examples] for t in self.tools}
        known = frozenset(template.text.lower() for templates in whole.values() for template in templates)
        self.calls: dict[str, list[Framed]] = {}
        self.gaps: dict[str, list[Framed]] = {}
        gaps = row_templates_told_apart({tool.name: left_out_templates(tool, known) for tool in self.tools})
        for tool in self.tools:
            complete = [template for template in whole[tool.name] if template.missing is None]
            self.calls[tool.name] = framed_by_split(complete, tool.name)[split]
            self.gaps[tool.name] = framed_by_split(gaps[tool.name], f"{tool.name} asks")[split]

    def draw(self, rng: random.Random, category: str) -> Row | None:
        """A row of a category of `SHARES`; None where the tools allow none, or it did not come about."""
        made: tuple[str, list[Message], list[str]] | None = getattr(self, f"_{category}")(rng)
        if made is None:
            return None
        task, messages, expected = made
        return {
            "kind": "own_tool",
            "task": task,
            "category": category,
            "messages": messages,
            "expected": expected,
            "difficulty": round(min(1.0, sum(map(len, expected)) / 120), 4),
        }

    # Each gives the tool (or "own"), the messages, and the calls that the last turn of the user asks for.

    def _call(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        drawn = self._draw_call(rng, rng.choice(self.tools))
        if drawn is None:
            return None
        framed, arguments = drawn
        user = say_framed_row(rng, framed, arguments)
        tool = framed.template.tool
        return tool.name, [_message("user", user), *_carried_out(rng, [(tool, arguments)])], _texts([(tool, arguments)])

    def _two(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        for _ in range(_TRIES):
            first = self._draw_call(rng, rng.choice(self.tools), orders=True)
            if first is None:
                continue
            said, calls, told = self._say_two(rng, *first)
            if len(set(_texts(calls))) < 2 or dataset_split_by_hash(told) != self.split:
                continue
            user = type_sentence(rng, frame_row_words(rng.choice(_DOUBLE_FRAMES), said))
            return calls[0][0].name, [_message("user", user), *_carried_out(rng, calls)], _texts(calls)
        return None

    def _say_two(
        self, rng: random.Random, framed: Framed, arguments: dict[str, Any]
    ) -> tuple[list[Said], list[tuple[DeclaredTool, dict[str, Any]]], str]:
        """Words of two requests, their calls, and the two templates as one text."""
        template, tool = framed.template, framed.template.tool
        said = fill_template(rng, template, arguments)
        last = template.parts[-1]
        ends_in_list = (
            bool(enum_slots(template)) and not isinstance(last, str) and last.name == enum_slots(template)[-1]
        )
        if ends_in_list and rng.random() < _SAME_AGAIN:
            name = enum_slots(template)[-1]
            value = changed_value_for_row(rng, tool, name, arguments[name])
            if value is not None:
                joined = [*said, Said(" and "), *say_change_in_row(rng, template, name, value)]
                return joined, [(tool, arguments), (tool, {**arguments, name: value})], f"{template.text} and again"
        second = self._draw_call(rng, rng.choice(self.tools), orders=True)
        if second is None:
            return said, [(tool, arguments)], template.text
        other, given = second[0].template, second[1]
        join = rng.choice(_HARD_JOINS if template.ends_free else _JOINS)
        words = fill_template(rng, other, given)
        return [*said, Said(join), *words], [(tool, arguments), (other.tool, given)], f"{template.text}\n{other.text}"

    def _missing(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        drawn = self._draw_gap(rng)
        if drawn is None:
            return None
        framed, arguments = drawn
        tool, missing = framed.template.tool, framed.template.missing or ""
        user = say_framed_row(rng, framed, arguments)
        return tool.name, [_message("user", user), _message("assistant", tool.question_for(missing))], []

    def _followup(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        return self._answer(rng) if rng.random() < _ANSWERED else self._change(rng)

    def _answer(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        """The user answers a question for an argument."""
        for _ in range(_TRIES):
            drawn = self._draw_gap(rng)
            if drawn is None:
                return None
            framed, arguments = drawn
            tool, name = framed.template.tool, framed.template.missing or ""
            whole = {**arguments, name: draw_value(rng, tool, name)}
            if not set(tool.required) <= whole.keys() or not self._own(framed.template, whole):
                continue
            answer = type_sentence(rng, say_missing_value_in_row(rng, tool, name, whole[name]))
            messages = [_message("user", say_framed_row(rng, framed, arguments))]
            messages += [_message("assistant", tool.question_for(name)), _message("user", answer)]
            return tool.name, [*messages, *_carried_out(rng, [(tool, whole)])], _texts([(tool, whole)])
        return None

    def _change(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        """The user wants the call before with another value."""
        for _ in range(_TRIES):
            drawn = self._draw_call(rng, rng.choice(self.tools))
            names = (
                []
                if drawn is None
                else [n for n in drawn[0].template.slots if row_can_change_value(drawn[0].template, n)]
            )
            if drawn is None or not names:
                continue
            framed, arguments = drawn
            tool, name = framed.template.tool, rng.choice(names)
            value = changed_value_for_row(rng, tool, name, arguments[name])
            if value is None or not self._own(framed.template, {**arguments, name: value}):
                continue
            changed = {**arguments, name: value}
            before = [_message("user", say_framed_row(rng, framed, arguments)), *_carried_out(rng, [(tool, arguments)])]
            again = type_sentence(rng, say_change_in_row(rng, framed.template, name, value, alone=True))
            messages = [*before, _message("user", again), *_carried_out(rng, [(tool, changed)])]
            return tool.name, messages, _texts([(tool, changed)])
        return None

    def _offtopic(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        sentence = off_topic_sentence(rng, self.chatter, self.words)
        return None if sentence is None else _left_alone(rng, sentence, OFF_TOPIC_ANSWER)

    def _mention(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        if rng.random() < 0.5:
            sentence = mention_sentence(rng, self.chatter, self.words)
            return None if sentence is None else _left_alone(rng, sentence, MENTION_ANSWER)
        drawn = self._draw_call(rng, rng.choice(self.tools), orders=True)
        if drawn is None:
            return None
        said = fill_template(rng, drawn[0].template, drawn[1])
        user = type_sentence(rng, frame_row_words(rng.choice(self.chatter.not_now), said))
        return "own", [_message("user", user), _message("assistant", MENTION_ANSWER)], []

    def _unknown(self, rng: random.Random) -> tuple[str, list[Message], list[str]] | None:
        for _ in range(_TRIES):
            thing = unknown_thing_for_row(rng, self.chatter, self.words)
            drawn = self._draw_call(rng, rng.choice(self.tools))
            if thing is None:
                return None
            if drawn is not None and (names := enum_slots(drawn[0].template)):
                user = say_framed_row(rng, drawn[0], drawn[1], {names[0]: thing})
                return "own", [_message("user", user), _message("assistant", OFF_TOPIC_ANSWER)], []
        return None

    def _own(self, template: Template, arguments: Mapping[str, Any]) -> bool:
        """Whether a call may be in this split."""
        if not template.holds_arguments_out:
            return True
        return dataset_split_by_hash(tool_call_text(template.tool, arguments)) == self.split

    def _draw_call(
        self, rng: random.Random, tool: DeclaredTool, *, orders: bool = False
    ) -> tuple[Framed, dict[str, Any]] | None:
        """A framed template of a tool and the arguments of its call. orders: no questions, no statements."""
        pairs = [pair for pair in self.calls[tool.name] if not orders or pair.template.mood == "order"]
        bare = [pair for pair in pairs if pair.frame == BARE]
        if not pairs:
            return None
        for _ in range(_TRIES):
            framed = rng.choice(bare if bare and rng.random() < _BARE else pairs)
            template = framed.template
            arguments = {**template.arguments, **{name: draw_value(rng, tool, name) for name in template.slots}}
            arguments = {name: arguments[name] for name in tool.arguments if name in arguments}
            if self._own(template, arguments):
                return framed, arguments
        return None

    def _draw_gap(self, rng: random.Random) -> tuple[Framed, dict[str, Any]] | None:
        """A framed template without a required argument, and the arguments that it has."""
        asking = [tool for tool in self.tools if self.gaps[tool.name]]
        if not asking:
            return None
        gaps = self.gaps[rng.choice(asking).name]
        missing = rng.choice(sorted({framed.template.missing or "" for framed in gaps}))  # each as often as the others
        framed = rng.choice([framed for framed in gaps if framed.template.missing == missing])
        template = framed.template
        drawn = {name: draw_value(rng, template.tool, name) for name in template.slots}
        return framed, {**template.arguments, **drawn}


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _left_alone(rng: random.Random, sentence: str, answer: str) -> tuple[str, list[Message], list[str]]:
    asks = sentence.split(" ", 1)[0].lower() in WORD_LISTS["question"]
    user = type_sentence(rng, [Said(sentence)], asks=asks)
    return "own", [_message("user", user), _message("assistant", answer)], []


def _texts(calls: Sequence[tuple[DeclaredTool, Mapping[str, Any]]]) -> list[str]:
    return [tool_call_text(tool, arguments) for tool, arguments in calls]


def _carried_out(rng: random.Random, calls: Sequence[tuple[DeclaredTool, Mapping[str, Any]]]) -> list[Message]:
    """Calls with their results, and what the agent says after them."""
    messages, said = [], []
    for tool, arguments in calls:
        fit = [result for result in tool.results if set(tool_example_slots(result)) <= arguments.keys()]
        said_values = {
            name: ", ".join(say_argument_in_row(item) for item in _as_list(v)) for name, v in arguments.items()
        }
        result = rng.choice(fit).format(**said_values) if fit else NO_RESULT
        messages += [_message("call", tool_call_text(tool, arguments)), _message("result", result)]
        said.append(confirm_call(tool, arguments, result))
    text = said[0]
    for more in said[1:]:
        text += f"{' ' if text.endswith('.') else '; '}{more}"
    return [*messages, _message("assistant", text)]


def user_words(row: Row) -> str:
    """What the user says in a row, without capitals and marks: what no two splits share."""
    return "\n".join(plain_words_of_row(message["content"]) for message in row["messages"] if message["role"] == "user")


def own_tool_rows(
    tools: Sequence[DeclaredTool], counts: Mapping[str, int], seed: int, shares: Mapping[str, float] = SHARES
) -> dict[str, list[Row]]:
    """Rows of declared tools for each split; equal arguments give equal rows.

    Args:
        counts: rows by split.
        shares: of the categories; one that the tools allow no row of goes to plain calls.

    Raises:
        ForgeError: no tool has an example, or values of one never fit its schema.
    """
    rows: dict[str, list[Row]] = {}
    taken: set[str] = set()
    for split in reversed(SPLITS):  # test first: what it says is not trained on
        rng = random.Random(f"own tools {split} {seed}")
        maker = OwnRowMaker(tools, split)
        rows[split] = []
        for category in rng.choices(list(shares), list(shares.values()), k=counts[split]):
            row = _fresh_row(rng, maker, category, taken)
            if row is not None:
                rows[split].append(row)
        taken |= {user_words(row) for row in rows[split]}
    return {split: rows[split] for split in SPLITS}


def _fresh_row(rng: random.Random, maker: OwnRowMaker, category: str, taken: set[str]) -> Row | None:
    """A row whose sentences no other split has; a plain call where the category gives none."""
    for wanted in (category, "call"):
        for _ in range(_TRIES):
            row = maker.draw(rng, wanted)
            if row is None:
                break
            if user_words(row) not in taken:
                return row
    return None


def own_persona_rows(personas: Sequence[DeclaredPersona], counts: Mapping[str, int], seed: int) -> dict[str, list[Row]]:
    """Rows of declared personas for each split, the personas in turn: their prompt, what is said to them, what they
    answer. A tenth of a persona's examples is for val and a tenth for test; those with fewer than three hold out none.
    """
    rows: dict[str, list[Row]] = {}
    for split in SPLITS:
        rng = random.Random(f"own personas {split} {seed}")
        rows[split] = []
        for number in range(counts[split] if personas else 0):
            persona = personas[number % len(personas)]
            examples = hold_out_tenths(persona.examples, [plain_words_of_row(e.say) for e in persona.examples])[split]
            if not examples:
                continue
            example = rng.choice(examples)
            messages = [_message("system", persona.prompt), _message("user", type_sentence(rng, [Said(example.say)]))]
            messages.append(_message("assistant", example.answer))
            rows[split].append(
                {
                    "kind": "own_tool",
                    "task": persona.name,
                    "category": "persona",
                    "messages": messages,
                    "expected": [],
                    "difficulty": 0.5,
                }
            )
    return rows
