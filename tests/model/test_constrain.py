"""Calls are held to the schemas of the tools: whatever a model would write, whatever the schema."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from forge.data.asked_forms import AskedForms
from forge.data.declared.rows import own_tool_rows
from forge.data.dialogues import tool_dialogues
from forge.data.render import ID, tokenize_text
from forge.data.tokenizer import SPECIAL_TOKENS, STAND_IN, build_tokenizer
from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.model.calling import CallRules
from forge.model.constrain import LONGEST_TEXT, CallGrammar, CallMatcher
from forge.model.engine import Generation, generate
from forge.tools import Toolbox
from forge.tools.builtin import TOOLS
from forge.tools.calls import parse_tool_call, refuse_call, tool_call_text
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredTool
from tests.support.scripted import script_engine
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens
from tests.support.toy_tools import HAND_MADE, LIGHT, LOOKUP, STATUS, declared_tool_sets

torch.set_num_threads(1)
HOME = Path(__file__).resolve().parents[2] / "examples" / "home" / "tools.yaml"
VOCAB = len(tiny_tokenizer())
Tools = tuple[DeclaredTool, ...]


def _model(**changes: Any) -> TinyTitanForCausalLM:
    return tiny_model(vocab_size=VOCAB, **changes)


def _sampled(tools: Tools, rows: int, seed: int, *, held: bool = True, longest: int = 1200) -> list[Generation]:
    """Answers at temperature 1.5 that begin with a call and end with it."""
    prompts = [[*tokens(1, 2 + i % 7, seed=i, vocab=VOCAB)[0].tolist(), ID["assistant"]] for i in range(rows)]
    return generate(
        _model(),
        prompts,
        max_new_tokens=longest,
        tokenizer=tiny_tokenizer(),
        execute=lambda call: None,
        temperature=1.5,
        seed=seed,
        rules=CallRules(CallGrammar(tiny_tokenizer(), tools) if held else None, due=True),
    )


def _fault(call: str, tools: Tools) -> str | None:
    """What is wrong with a call, judged by the reader of calls and by jsonschema; None for a good one."""
    by_name = {tool.name: tool for tool in tools}
    try:
        name, arguments = parse_tool_call(call, by_name)
    except ForgeError as error:
        return str(error)
    tool = by_name[name]
    if tool.plain is not None:
        text = arguments[tool.plain]
        longest = tool.arguments[tool.plain].max_length or LONGEST_TEXT
        whole = text == text.strip() and len(text.splitlines()) == 1 and len(text) <= longest
        return None if whole else f"not a line of at most {longest} characters: {text!r}"
    if list(arguments) != [key for key in tool.arguments if key in arguments]:
        return f"its keys are in another order: {list(arguments)}"
    return refuse_call(tool, arguments)


def _faults(made: list[Generation], tools: Tools) -> list[str]:
    found = [(answer.pending, _fault(answer.pending, tools)) for answer in made]
    return [f"{call!r}: {fault}" for call, fault in found if fault is not None]


HYPOTHESIS: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=10, **HYPOTHESIS)
@given(declared_tool_sets())
def test_no_sampled_call_is_malformed_or_outside_its_schema(tools: Tools) -> None:
    assert _faults(_sampled(tools, 100, seed=len(tools)), tools) == []


@pytest.mark.long
def test_of_ten_thousand_sampled_calls_none_is_malformed_or_outside_its_schema() -> None:
    count = 0

    @settings(max_examples=50, **HYPOTHESIS)
    @given(declared_tool_sets())
    def sample(tools: Tools) -> None:
        nonlocal count
        made = _sampled(tools, 200, seed=count)
        assert _faults(made, tools) == []
        count += len(made)

    sample()
    assert count >= 10_000


def test_without_a_grammar_the_same_model_writes_no_good_call() -> None:
    made = _sampled(HAND_MADE, 40, seed=0, held=False, longest=200)
    assert len(_faults(made, HAND_MADE)) >= 39
    assert _faults(_sampled(HAND_MADE, 40, seed=0), HAND_MADE) == []


def test_text_without_a_length_ends_all_the_same() -> None:
    made = _sampled((LOOKUP,), 30, seed=5)
    assert _faults(made, (LOOKUP,)) == []
    assert all(answer.pending.startswith("lookup ") for answer in made)


def _fits(call: str, tools: Tools = HAND_MADE) -> bool:
    """Whether each token of a call fits, and its end."""
    matcher = CallGrammar(tiny_tokenizer(), tools).begin()
    return all(matcher.take(token) for token in [*tokenize_text(tiny_tokenizer(), call), ID["result"]])


def test_every_call_that_a_schema_allows_can_be_written() -> None:
    for name in ("kitchen light", "hall light", "Café"):
        others: dict[str, Any] = {"brightness": 100, "on": False}
        for n in range(3):
            for given_ones in combinations(others, n):
                assert _fits(tool_call_text(LIGHT, {"name": name, **{key: others[key] for key in given_ones}}))
    for brightness in (0, 7, 42, 100):
        assert _fits(tool_call_text(LIGHT, {"name": "Café", "brightness": brightness}))
    assert _fits(tool_call_text(STATUS, {}))
    for text in ("3+4", "what is a café?", '{"a": [1]}', "日本", "x" * LONGEST_TEXT):
        assert _fits(tool_call_text(LOOKUP, {"query": text}))


@pytest.mark.parametrize(
    "call",
    [
        "set_light",
        "set_light {}",
        'set_light {"name":"kitchen"}',
        'set_light {"name":"hall light","brightness":101}',
        'set_light {"name":"hall light","brightness":-1}',
        'set_light {"name":"hall light","brightness":07}',
        'set_light {"name":"hall light","brightness":5.5}',
        'set_light {"name":"hall light","on":1}',
        'set_light {"name":"hall light","colour":1}',
        'set_light {"on":true,"name":"hall light"}',
        'set_light {"name":"hall light","name":"hall light"}',
        'set_light {"name": "hall light"}',
        'set_light {"name":"hall light",}',
        'set_light {"name":"hall light"} ',
        'set_light {"name":"hall light"',
        "status",
        "status on",
        "lookup",
        "lookup ",
        "lookup  x",
        "lookup x ",
        "lookup x\ny",
        "lookup " + "x" * (LONGEST_TEXT + 1),
        "lock x",
        "",
    ],
)
def test_a_call_that_is_another_in_one_place_cannot_be_written(call: str) -> None:
    assert not _fits(call)


def _declared(name: str, **properties: Any) -> DeclaredTool:
    return DeclaredTool.model_validate({"name": name, "parameters": {"properties": properties}})


def test_tokens_are_drawn_from_the_distribution_over_those_that_fit() -> None:
    model, prompt, temperature = _model(halting=False), [20, 30, ID["assistant"]], 1.5
    names = ("alpha", "bravo", "charlie", "delta", "echo", "hotel", "tango")
    grammar = CallGrammar(tiny_tokenizer(), [_declared(name) for name in names])
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, ID["call"]]])).logits[0, -1]
    fits = torch.from_numpy(grammar.begin().fitting(VOCAB))
    expected = logits.masked_fill(~fits, -torch.inf).div(temperature).softmax(-1)
    assert len(names) <= int(fits.sum()) < 2 * len(names)
    made = generate(
        model,
        [prompt] * 3000,
        max_new_tokens=2,
        tokenizer=tiny_tokenizer(),
        execute=lambda call: None,
        temperature=temperature,
        rules=CallRules(grammar, due=True),
    )
    counts = torch.bincount(torch.tensor([answer.ids[1] for answer in made]), minlength=VOCAB) / 3000
    assert (counts - expected).abs().max().item() < 0.04


def test_a_token_that_fits_is_one_that_the_mask_has() -> None:
    call = tool_call_text(LIGHT, {"name": "hall light", "brightness": 42, "on": True})
    matcher, others = CallGrammar(tiny_tokenizer(), HAND_MADE).begin(), 0
    for token in tokenize_text(tiny_tokenizer(), call):
        fits = matcher.fitting(VOCAB + 5)  # a model may know more tokens than its tokenizer has
        refused = next(i for i in range(VOCAB) if not fits[i])
        assert not matcher.take(refused)
        assert not fits[VOCAB:].any()
        others += int(fits.sum()) > 1
        assert fits[token]
        assert matcher.take(token)
    assert others > 3
    assert matcher.fitting(VOCAB).nonzero()[0].tolist() == [ID["result"]]


def test_what_no_grammar_can_be_made_of_is_told_in_a_line() -> None:
    around = _declared("badge", code={"type": "string", "pattern": "(?=a)b"})
    with pytest.raises(ForgeError, match=r"^badge: its calls cannot be held to .*not supported$") as told:
        CallGrammar(tiny_tokenizer(), [LIGHT, around])
    assert "\n" not in str(told.value)
    with pytest.raises(ForgeError, match="no tool"):
        CallGrammar(tiny_tokenizer(), [])


def test_a_value_that_the_vocabulary_has_no_bytes_for_is_refused() -> None:
    spelled = [*SPECIAL_TOKENS, *(STAND_IN[byte] for byte in range(32, 127))]
    pruned = build_tokenizer({token: i for i, token in enumerate(spelled)}, {}, "pruned")
    assert CallGrammar(pruned, [LOOKUP, STATUS]).names == ("lookup", "status")
    with pytest.raises(ForgeError, match=r"^set_light: the model's vocabulary has no way to write 'Café'"):
        CallGrammar(pruned, [LIGHT])


def _is_written(
    grammar: CallGrammar, call: str, said: str | None, asked: str | None = None, made: Sequence[str] = ()
) -> bool:
    matcher = grammar.begin(said, asked, made=made)
    return all(matcher.take(token) for token in [*tokenize_text(tiny_tokenizer(), call), ID["result"]])


def _unwritten(grammar: CallGrammar, rows: list[dict[str, Any]], *, told: bool = False) -> list[tuple[str, str]]:
    """Calls of dialogues that cannot be written after what was said before them; ``told`` who said it."""
    found = []
    for row in rows:
        turns = row["messages"]
        for place, turn in enumerate(turns):
            said = "\n".join(before["content"] for before in turns[:place])
            users = [number for number, before in enumerate(turns[:place]) if before["role"] == "user"]
            asked = "\n".join(turns[number]["content"] for number in users)
            made = [before["content"] for before in turns[max(users, default=0) : place] if before["role"] == "call"]
            known = (asked, made) if told else ()
            if turn["role"] == "call" and not _is_written(grammar, turn["content"], said, *known):
                found.append((said, turn["content"]))
    return found


def test_every_call_of_the_training_dialogues_can_be_written_from_what_was_said() -> None:
    """But for a few that are worded like another question."""
    rows = tool_dialogues(1500, 5, "train")
    calls = sum(turn["role"] == "call" for row in rows for turn in row["messages"])
    with Toolbox() as toolbox:
        grammar = CallGrammar(tiny_tokenizer(), [tool.declared for tool in TOOLS], toolbox.words_of_call)
        missed = _unwritten(grammar, rows, told=True)
        assert len(missed) < 0.01 * calls, missed
        for said, call in (
            ("what is 1,100,339 plus 12?", "calculator 110039+12"),
            ("how many letters has therologic got", "code_executor print(len('therogic'))"),
            ("spell lamp backwards", "code_executor print('range'[::-1])"),
            ('spell "lamp" backwards', 'code_executor print("range"[::-1])'),
            ("what is 10 for .95", "calculator 10for.95"),
            ("anything about Cairo?", "search Ottawa"),
            ("read endolymph.doc", "file_reader endolymp.doc"),
        ):
            assert not _is_written(grammar, call, said)
            assert _is_written(grammar, call, None)


def test_every_call_of_declared_tools_can_be_written_from_what_was_said() -> None:
    tools = read_tools_file(HOME).tools
    rows = own_tool_rows(tools, {"train": 600, "val": 0, "test": 0}, 3)["train"]
    grammar = CallGrammar(tiny_tokenizer(), [*(tool.declared for tool in TOOLS), *tools])
    missed = _unwritten(grammar, rows, told=True)
    assert len(missed) < 0.005 * len(rows), missed  # a typo in a word of three or four letters
    for said, call in (
        ("turn on the hall light", 'set_light {"name":"attic light","brightness":100}'),
        ("dim the hall light to 40", 'set_light {"name":"hall light","brightness":45}'),
        ("put oat milk on the list", 'add_to_list {"item":"goat milk"}'),
    ):
        assert not _is_written(grammar, call, said)
        assert _is_written(grammar, call, None)


def _asks(tool: DeclaredTool, said: str) -> str:
    matcher = CallGrammar(tiny_tokenizer(), [tool]).begin(said)
    for token in tokenize_text(tiny_tokenizer(), tool.name):
        assert matcher.take(token)
    return matcher.question


def test_what_was_not_said_is_asked_for() -> None:
    tools = {tool.name: tool for tool in read_tools_file(HOME).tools}
    assert _asks(tools["set_light"], "make the light 40 percent bright") == "Which light?"
    assert _asks(tools["set_light"], "make the hall light bright") == "How bright?"
    assert _asks(tools["set_light"], "dim the hall light") == ""  # its form brings the number along
    assert _asks(tools["set_volume"], "turn the music in the kitchen up to 30") == ""
    assert _asks(LIGHT, "make it brighter") == ""  # without examples nothing is known of what is said


def test_a_call_that_lacks_something_ends_in_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = DeclaredTool.model_validate(
        {
            "name": "dim",
            "parameters": {"properties": {"room": {"type": "string", "enum": ["hall", "bath"]}}, "required": ["room"]},
            "ask": {"room": "Which room?"},
            "examples": ["dim the {room}"],
        }
    )
    # A call that is due is made whatever was said: who demands it has no use for a question.
    for said, due in (("dim it", False), ("dim it", True), ("dim the bath", False)):
        with monkeypatch.context() as patched:
            script_engine(patched, *(() if due else ("[call]",)))
            (made,) = generate(
                _model(),
                [[ID["user"], *tokenize_text(tiny_tokenizer(), said), ID["assistant"]]],
                max_new_tokens=120,
                tokenizer=tiny_tokenizer(),
                execute=lambda call: None,
                rules=CallRules(CallGrammar(tiny_tokenizer(), [tool]), due=due),
            )
        asks = said == "dim it" and not due
        assert made.finished
        assert made.question == made.text == ("Which room?" if asks else "")
        assert (made.pending == "") == asks
        assert made.calls == []
        assert len(made.confidences) == (not asks)  # of a call that was only begun, nothing is told
    assert made.pending == 'dim {"room":"bath"}'


def test_a_name_that_begins_another_is_no_end() -> None:
    tools = tuple(
        DeclaredTool.model_validate(
            {
                "name": name,
                "parameters": {"properties": {"n": {"type": "integer"}}, "required": ["n"]},
                "examples": ["take {n}"],
            }
        )
        for name in ("set", "set_all")
    )
    grammar = CallGrammar(tiny_tokenizer(), tools)
    for name in ("set", "set_all"):
        assert _is_written(grammar, f'{name} {{"n":7}}', "take seven")
        assert not _is_written(grammar, f'{name} {{"n":8}}', "take seven")


def test_the_decoder_takes_what_was_said_from_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results included: the call after a result may have its numbers."""
    heard: list[tuple[str | None, str | None, Sequence[str]]] = []

    class Listening(CallGrammar):
        def begin(self, said: str | None = None, asked: str | None = None, *, made: Sequence[str] = ()) -> CallMatcher:
            heard.append((said, asked, made))
            return super().begin(said, asked, made=made)

    prompt = [ID["user"], *tokenize_text(tiny_tokenizer(), "What is 12 + 30?"), ID["assistant"]]
    script_engine(monkeypatch, "[call]", "status {}", "[result]", "[call]", "status {}", "[result]", "[end]")
    generate(
        _model(),
        [prompt],
        max_new_tokens=400,
        tokenizer=tiny_tokenizer(),
        execute=lambda call: "77",
        rules=CallRules(Listening(tiny_tokenizer(), [STATUS])),
    )
    asked = "What is 12 + 30?"
    assert heard == [(asked, asked, []), (f"{asked}\nstatus {{}}\n77", asked, ["status {}"])]


def test_a_tool_of_which_no_example_has_a_word_can_be_called() -> None:
    tools = [*(tool.declared for tool in TOOLS), *read_tools_file(HOME).tools]
    grammar = CallGrammar(tiny_tokenizer(), tools)
    assert _is_written(grammar, "calculator 3+4", "xyzzy 3 4")
    assert grammar.begin("xyzzy").take(tokenize_text(tiny_tokenizer(), "set_light")[0])
    assert _asks(tools[5], "xyzzy") == "Which light?"


def test_calls_of_earlier_turns_are_not_left_to_be_made() -> None:
    tools = read_tools_file(HOME).tools
    made = ['set_light {"name":"hall light","brightness":100}']
    matcher = CallGrammar(tiny_tokenizer(), tools).begin("unlock the front door\nturn on the hall light", made=made)
    assert all(matcher.take(token) for token in tokenize_text(tiny_tokenizer(), made[0]))


def test_optional_arguments_that_were_not_said_hold_nothing() -> None:
    tool = DeclaredTool.model_validate(
        {
            "name": "paint",
            "parameters": {
                "properties": {
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "name": {"type": "string", "enum": ["door", "fence"]},
                },
                "required": ["name"],
            },
            "examples": ["paint the {name} {color}", "paint the {name} in {color}"],
        }
    )
    grammar = CallGrammar(tiny_tokenizer(), [tool])
    assert _asks(tool, "paint it") == "Which one?"
    assert _is_written(grammar, 'paint {"name":"door"}', "paint the door")
    assert not _is_written(grammar, 'paint {"color":"blue","name":"door"}', "paint the door")
    assert not _is_written(grammar, 'paint {"name":"fence"}', "paint the door")


def test_a_second_call_is_another_one() -> None:
    tools = read_tools_file(HOME).tools
    grammar = CallGrammar(tiny_tokenizer(), tools)
    first, second = (f'set_lock {{"name":"{name}","locked":true}}' for name in ("shed", "front door"))
    matcher = grammar.begin("lock the shed and the front door", made=[first, "unknown call"])
    assert not all(matcher.take(token) for token in tokenize_text(tiny_tokenizer(), first))
    matcher = grammar.begin("lock the shed and the front door", made=[first])
    assert all(matcher.take(token) for token in tokenize_text(tiny_tokenizer(), second))
    # where nothing else was said, what was called is called again rather than something made up
    matcher = grammar.begin("lock the shed", made=[first])
    assert all(matcher.take(token) for token in tokenize_text(tiny_tokenizer(), first))


def test_own_tools_have_a_say_in_whether_a_call_is_due() -> None:
    own = read_tools_file(HOME).tools
    with Toolbox() as toolbox:
        built_in = [tool.declared for tool in TOOLS]
        grammar = CallGrammar(tiny_tokenizer(), built_in, toolbox.words_of_call)
        assert grammar.wants_call("how much is the chair?") is True
        assert grammar.wants_call("hello") is False
        assert CallGrammar(tiny_tokenizer(), built_in).wants_call("how much is the chair?") is None
        assert CallGrammar(tiny_tokenizer(), [*built_in, *own], toolbox.words_of_call).wants_call("hall light") is None


def test_where_nothing_is_left_any_call_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AskedForms, "patterns", lambda *asked: ["unheard"])
    tokenizer = tiny_tokenizer()
    with Toolbox() as toolbox:
        grammar = CallGrammar(tokenizer, [tool.declared for tool in TOOLS], toolbox.words_of_call)
        matcher = grammar.begin("what is a lamp?")
        for token in tokenize_text(tokenizer, "search "):
            assert matcher.take(token)
        (lamp, *_) = tokenize_text(tokenizer, "lamp")
        assert not matcher.take(lamp)
        while not matcher.fitting(len(tokenizer))[lamp]:  # what fits may still lead nowhere
            assert matcher.take(int(matcher.fitting(len(tokenizer)).nonzero()[0][0]))
        assert matcher.take(lamp)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("what is the capital of Norway?\nwhat is 17 * 23?", False),
        ("how much is the lamp?\nand the chair?", True),
        ("how much is the lamp?\nwhat do they cost together", True),
        ("what is 12 times 12?\nand plus 6", True),
        ('hello\nreverse "hello"', False),
        ("lock the shed\nthe garage door too", True),
        ("lock the shed\nturn on the hall light", False),
        ("lock the shed\nthanks", False),
    ],
)
def test_a_turn_leans_on_the_one_before_or_does_not(asked: str, wanted: bool) -> None:
    with Toolbox() as toolbox:
        tools = [*(tool.declared for tool in TOOLS), *read_tools_file(HOME).tools]
        assert CallGrammar(tiny_tokenizer(), tools, toolbox.words_of_call).leans(asked) is wanted
