"""Commands as a user meets them: output, JSON shapes, faults, exit codes, what light ones must not import."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.cli import output, use
from forge.cli.main import main
from forge.data.render import ID
from forge.errors import Interrupted
from forge.evals.answering import NO_ANSWER
from forge.evals.ledger import LedgerRow
from forge.evals.suite import SuiteScore
from forge.files import atomic_write_json
from forge.model.engine import Generation
from forge.phases import ORDER
from tests.support.own_tools import TOOLS_YAML
from tests.support.toy_agent import build_toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("models"))


# ---- light commands ----


def test_light_commands_import_nothing_heavy(unrun: Path) -> None:
    code = (
        "import sys\n"
        "from forge.cli.main import main\n"
        "main(['--help'])\n"
        "print('pydantic' in sys.modules)\n"
        "for command in (['status'], ['phases'], ['config', 'show']): main(command)\n"
        "heavy = {'torch', 'transformers', 'dvc', 'numpy', 'sklearn', 'reasoning_gym', 'forge.model'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "main(['doctor', '--quick'])\n"
        "print('torch' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    lines = done.stdout.strip().splitlines()
    assert "[]" in lines, done.stderr
    assert "False" in lines[: lines.index("[]")], "help needs no pydantic"
    assert lines[-1] == "False"


def test_status_before_any_run(unrun: Path, call: Any) -> None:
    told = call("status")
    assert told.code == 0
    assert "none yet" in told.out
    found = call("status", "--json").json
    assert found["agent"] is None
    assert [row["stage"] for row in found["stages"]][:5] == ["code", "data", "tools", "trunk", "cognate@reasoning"]
    assert {row["state"] for row in found["stages"]} == {"new"}
    (unrun / "models" / "compress").mkdir(parents=True)
    (unrun / "models" / "compress" / "agent.forge").write_bytes(b"x")
    assert call("status", "--json").json["agent"] == "models/compress/agent.forge"


def test_phases_show_what_each_reached(unrun: Path, call: Any) -> None:
    row = LedgerRow(
        phase="edge",
        bytes=123456,
        parameters=9,
        bpb=1,
        accuracy_no_tools=0,
        accuracy_tools=0.875,
        seconds=1,
        files=["f"],
    )
    atomic_write_json(unrun / "results" / "edge" / "ledger.json", row.model_dump(mode="json"))
    assert "0.875" in call("phases").out
    found = {entry["phase"]: entry for entry in call("phases", "--json").json["phases"]}
    assert list(found) == list(ORDER)
    assert found["cognate"]["stages"][0] == "trunk"
    assert found["cognate"]["stages"][-1] == "branches"
    assert found["edge"]["ledger"]["bytes"] == 123456
    assert found["baking"]["ledger"] is None
    for odd in ({"phase": "edge", "bytes": "many"}, {"phase": "edge", "bytes": 1, "accuracy_tools": [1]}):
        atomic_write_json(unrun / "results" / "edge" / "ledger.json", odd)
        told = call("phases")
        assert (told.code, told.out) == (1, "")
        assert "edge/ledger.json: bytes and shares must be numbers" in told.err
    for nothing in ("many", [1], {}):
        atomic_write_json(unrun / "results" / "edge" / "ledger.json", nothing)
        assert call("phases").code == 0


def test_config_show_merges_the_scale_into_the_phase(unrun: Path, call: Any) -> None:
    found = call("config", "show", "--json").json
    assert found["scale"] == "tiny"
    assert {"generations", "elites"} <= set(found["phases"]["evomerge"])
    smoke = call("config", "show", "--scale", "smoke", "--phase", "evomerge", "--json").json
    assert list(smoke["phases"]) == ["evomerge"]
    assert smoke["phases"]["evomerge"]["generations"] < found["phases"]["evomerge"]["generations"]
    shown = call("config", "show").out
    assert "evomerge:" in shown
    values = [line for line in shown.splitlines() if line.startswith("  ")]
    assert [line for line in values if not line.endswith((".", "!"))] == [], "every value has its sentence"
    assert "  mix.worked: 10.0  # Problems of the suite answered after a worked thought." in values
    assert "  curriculum[0].share: 0.15  # Share of the steps." in values
    for options, words in ((("--scale", "vast"), "vast"), (("--phase", "nine"), "nine")):
        told = call("config", "show", *options)
        assert (told.code, told.out) == (1, "")
        assert words in told.err


def test_config_validate_accepts_ours_and_names_a_bad_key(unrun: Path, call: Any) -> None:
    assert call("config", "validate").code == 0
    assert call("config", "validate", "--json").json == {
        "valid": True,
        "file": "params.yaml",
        "scale": "tiny",
        "seed": 0,
    }
    text = (unrun / "params.yaml").read_text()
    (unrun / "params.yaml").write_text(text.replace("  elites: 2", "  elites: two"))
    told = call("config", "validate")
    assert told.code == 1
    assert "evomerge.elites" in told.err
    assert told.err.count("\n") == 1


def test_config_validate_looks_at_own_tools(unrun: Path, call: Any) -> None:
    file, tools = unrun / "params.yaml", unrun / "data" / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    (tools / "house.yaml").write_text(TOOLS_YAML)
    assert call("config", "validate").out.endswith("own tools: 3, personas: 1, files read: 1\n")
    assert call("config", "validate", "--json").json["own_tools"] == {"files": 1, "tools": 3, "personas": 1}
    (tools / "house.yaml").write_text(TOOLS_YAML.replace("type: integer", "type: whole"))
    refused = call("config", "validate")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "data/tools/house.yaml:8: set_light: parameters.properties.brightness.type: " in refused.err
    file.write_text(file.read_text().replace("tools: data/tools", "tools: data/tolls"))
    assert "data/tolls: no such tools file, and no such folder" in call("config", "validate").err


def test_config_validate_looks_at_own_data(unrun: Path, call: Any) -> None:
    file, text = unrun / "params.yaml", (unrun / "params.yaml").read_text()

    def told(paths: str, *options: str) -> Any:
        file.write_text(text.replace("own_data: []", f"own_data: [{paths}]"))
        return call("config", "validate", *options)

    own = unrun / "data" / "own"
    own.mkdir(parents=True, exist_ok=True)
    (own / "a.jsonl").write_text('{"text": "A row."}\n')
    (own / "b.csv").touch()
    assert "own data: 1 rows, files read: 1; not read: data/own/b.csv" in told("data/own").out
    assert told("data/own", "--json").json["own_data"] == {"files": 1, "rows": 1, "skipped": ["data/own/b.csv"]}
    (own / "a.jsonl").write_text('{"text": "A row."}\n{"text": 3}\n')
    for paths, words in (
        ("data/own", "data/own/a.jsonl:2: needs text"),
        ("data/none.txt", "data/none.txt does not exist"),
        ("/dev/zero", "/dev/zero: only .txt"),
        (".", "holds what the pipeline writes"),
    ):
        refused = told(paths)
        assert (refused.code, refused.out) == (1, "")
        assert words in refused.err
        assert refused.err.count("\n") == 1


def test_report_is_shown_rebuilt_and_missed(unrun: Path, call: Any) -> None:
    missing = call("report")
    assert missing.code == 1
    assert "agent-forge run" in missing.err
    row = LedgerRow(
        phase="cognate",
        bytes=10,
        parameters=9,
        bpb=1.5,
        accuracy_no_tools=0,
        accuracy_tools=1,
        seconds=1,
        files=["f"],
    )
    atomic_write_json(unrun / "results" / "cognate" / "ledger.json", row.model_dump(mode="json"))
    found = call("report", "--rebuild", "--json").json
    assert found["ledger"][0]["bytes"] == 10
    assert json.loads((unrun / "results" / "report.json").read_text()) == found
    assert "1.500" in call("report").out
    (unrun / "results" / "report.json").write_text("{")
    assert "report.json" in call("report").err


# ---- faults ----


def test_wrong_usage_is_one_line_and_exit_code_2(call: Any) -> None:
    for arguments in (["nope"], ["eval"], ["eval", "x", "--n", "0"], ["generate", "x"], ["--nope"]):
        told = call(*arguments)
        assert told.code == 2, arguments
        assert told.err.startswith("agent-forge: ")
        assert told.err.count("\n") == 1
    assert call("--help").code == 0


def test_faults_are_one_line_without_a_traceback_unless_asked(call: Any, tmp_path: Path) -> None:
    for command in (["eval"], ["bench"], ["size"], ["chat"]):
        told = call(*command, tmp_path / "gone")
        assert (told.code, told.out) == (1, "")
        assert "gone: no such model" in told.err
        assert told.err.count("\n") == 1
    with pytest.raises(Exception, match="no such model"):
        main(["size", str(tmp_path / "gone"), "--debug"])


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (RuntimeError("odd\nthing"), 1, "RuntimeError: odd thing"),
        (Interrupted(3, 9), 130, "step 3 of 9"),
    ],
)
def test_other_exceptions_become_a_line_and_a_code(
    call: Any, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, words: str
) -> None:
    def fails(path: str) -> None:
        raise raised

    monkeypatch.setattr("forge.runtime.size.size_report", fails)
    told = call("size", "x")
    assert (told.code, told.err.count("\n")) == (code, 1)
    assert words in told.err
    if isinstance(raised, RuntimeError):
        with pytest.raises(RuntimeError):
            main(["--debug", "size", "x"])


def test_ctrl_c_leaves_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("forge.runtime.size.size_report", interrupted)
    assert main(["size", "x"]) == 130


def test_a_reader_that_leaves_early_is_no_fault(unrun: Path) -> None:
    command = f"{sys.executable} -m forge.cli.main config show | head -1"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "scale: tiny\n"
    assert "Error" not in done.stderr


# ---- using a model ----


def test_eval_prints_exactly_the_promised_json_and_repeats_itself(home: Path, call: Any) -> None:
    arguments = ("eval", home / "agent.forge", "--tasks", "gcd,lcm", "--n", "3", "--seed", "7", "--json")
    found = call(*arguments).json
    assert set(found) == {"tasks", "mean_accuracy", "bpb", "tools", "thoughts", "thought_share", "calls"}
    assert (found["tools"], found["thoughts"], found["thought_share"]) == (True, "off", 0.0)
    assert list(found["tasks"]) == ["gcd", "lcm"]
    assert found["tasks"]["gcd"]["n"] == 3
    assert found["bpb"] > 0
    assert call(*arguments, "--thoughts", "off").json == found
    told = call("eval", home / "toy", "--tasks", "gcd", "--n", "1", "--no-tools")
    assert "without tools, thoughts off" in told.out
    assert "alchemy" in call("eval", home / "toy", "--tasks", "alchemy").err
    assert "no thoughts vote" in call("eval", home / "toy", "--thoughts", "vote", "--no-tools").err
    told = call("eval", home / "toy", "--thoughts", "maybe")
    assert told.code == 2
    assert "'maybe' is not one of 'auto', 'on', 'off', 'vote'" in told.err


def test_eval_begins_a_thought_and_counts_thoughts_and_calls(home: Path, call: Any, monkeypatch: Any) -> None:
    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        thinks = [prompt[-1] == ID["think"] for prompt in prompts]
        return [Generation([1], [("gcd", "1")], "hm" if thinks[i] and i else "", "1") for i in range(len(prompts))]

    monkeypatch.setattr("forge.model.engine.generate", scripted)
    for thoughts, share in (("on", 0.75), ("auto", 0.0)):
        found = call("eval", home / "toy", "--tasks", "gcd", "--n", "4", "--thoughts", thoughts, "--json").json
        assert (found["thoughts"], found["thought_share"], found["calls"]) == (thoughts, share, 4)
    assert (
        "thought before 75% of the answers, made 4 calls"
        in call("eval", home / "toy", "--tasks", "gcd", "--n", "4", "--thoughts", "on").out
    )


def test_eval_puts_the_tool_prompt_first_only_when_asked(home: Path, call: Any, monkeypatch: Any) -> None:
    given: list[str | None] = []

    def score(model: Any, tokenizer: Any, *, system: str | None, **options: Any) -> SuiteScore:
        given.append(system)
        return SuiteScore({}, 0.5, [0.0, 1.0], 1.0, 0)

    monkeypatch.setattr("forge.evals.suite.score_suite", score)
    call("eval", home / "toy", "--json")
    call("eval", home / "toy", "--tool-prompt", "--json")
    assert given == [None, "Use calculator, code_executor, search, file_reader or database_query."]


def test_generate_prints_the_answer_and_its_calls(home: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = call("generate", home / "toy", "What is 12+30?", "--max-new-tokens", "4", "--json").json
    assert set(found) == {"text", "calls", "asked", "thought", "tokens"}
    assert found["tokens"] <= 4

    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        calls = [("calculator 12+30", options["execute"]("calculator 12+30"))] if options["execute"] else []
        return [Generation([1], calls, text="42" if calls else "?", confidences=[0.9] * len(calls))]

    monkeypatch.setattr("forge.model.engine.generate", scripted)
    told = call("generate", home / "toy", "12+30", "--persona", "teacher")
    assert told.out.splitlines() == ["  [call] calculator 12+30", "  [result] 42", "42"]
    found = call("generate", home / "toy", "12+30", "--json").json
    made = {"call": "calculator 12+30", "name": "calculator", "arguments": {"expression": "12+30"}, "result": "42"}
    said = {"text": "42", "thought": "", "tokens": 1}
    assert found == {**said, "calls": [{**made, "confidence": 0.9}], "asked": None}
    assert call("generate", home / "toy", "12+30", "--no-tools").out == f"{NO_ANSWER}\n"
    assert "empty" in call("generate", home / "toy", " ").err
    assert "pirate" in call("generate", home / "toy", "x", "--persona", "pirate").err


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        thought = "hm" if prompts[0][-1] == ID["think"] else ""
        if thought and options["hear"] is not None:
            options["hear"](thought)
        return [Generation([1], thought=thought, text=f"{len(prompts[0])} tokens")]

    monkeypatch.setattr("forge.model.engine.generate", scripted)


def test_chat_on_a_pipe_answers_lines_obeys_commands_and_ends(
    home: Path, call: Any, monkeypatch: pytest.MonkeyPatch, parrot: None
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n\n/tools off\n/dance\n/quit\nnever\n"))
    told = call("chat", home / "toy", "--persona", "teacher")
    assert told.code == 0
    assert told.out.count("agent>") == 1
    assert "tools are off" in told.out
    assert "unknown command /dance" in told.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n/thoughts on\ntwo"))
    told = call("chat", home / "toy", "--json")
    one, two = (json.loads(line) for line in told.out.splitlines())
    assert set(one) == set(two) == {"text", "calls", "asked", "thought"}
    assert (one["thought"], two["thought"]) == ("", "hm")
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n/thoughts off\none\n"))
    told = call("chat", home / "toy", "--thoughts", "on").out.splitlines()[1:]
    # with the turn before
    assert told == ["  [thought] hm", "agent> 6 tokens", "thoughts are off", "agent> 19 tokens"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n"))
    assert "pirate" in call("chat", home / "toy", "--persona", "pirate").err


def test_chat_on_a_terminal_prompts_until_the_end_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([" hello ", "/quit"])
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert list(use._terminal_input_lines("you> ")) == ["hello", "/quit"]
    assert prompts == ["you> "] * 3


def test_bench_and_size_json(home: Path, call: Any) -> None:
    metrics = call("bench", home / "toy", "--repeats", "1", "--json").json
    keys = {
        "device",
        "prefill_512_ms_p50",
        "prefill_512_ms_p95",
        "decode_tokens_per_s",
        "peak_ram_mb",
        "load_ms",
    }
    assert set(metrics) == keys
    assert "decode_tokens_per_s" in call("bench", home / "toy", "--repeats", "1").out
    report = call("size", home / "agent.forge", "--json").json
    assert set(report) == {"total_bytes", "parameters", "by_component"}
    assert sum(report["by_component"].values()) == report["total_bytes"]
    assert "bits each" in call("size", home / "toy").out


def test_tables_are_plain_on_a_pipe_and_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_terminal_table(("a", "long name"), [("x[1]", "y")])
    assert capsys.readouterr().out == "a     long name\nx[1]  y\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.print_terminal_table(("a", "b"), [("x[red]", "y")])
    assert "x[red]" in capsys.readouterr().out


def test_what_is_whispered_is_dimmed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"  [thought] {'5+7=21,' * 30}"
    output.whisper(text)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    output.whisper(text)
    assert capsys.readouterr().out == f"{text}\n\x1b[2m{text}\x1b[0m\n"
