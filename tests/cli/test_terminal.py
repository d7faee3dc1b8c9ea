"""What others wrote is shown and read without harm: text that steers a terminal, bytes that are no text, words that
look like options, numbers out of bounds.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import forge
from forge.cli import output, use
from forge.cli.compare import _print_fitted_terminal_table
from forge.cli.logs import _show
from forge.cli.models import _terminal_lineage_tree
from forge.cli.run_progress import Watcher, terminal_progress_line
from forge.errors import UNPRINTABLE, ForgeError, printable
from forge.evals.answering import NO_ANSWER
from forge.files import atomic_write_json, atomic_write_text
from forge.model.engine import Generation
from forge.pipeline.dvc.git import git
from forge.pipeline.records.logs import _OneLine
from forge.runtime.agent import Agent
from forge.serve.faults import ApiError
from tests.support.tiny_models import tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "sets the title": "\x1b]0;owned\x07",
    "answers for the user": "\x1b[6n",
    "overwrites the line": "all is well\rworse",
    "backspaces": "no\b\byes",
    "C1 control sequence": "\x9b31m",
    "C1 operating system command": "\x9d0;owned\x9c",
    "delete": "a\x7f",
    "null": "a\x00b",
    "next line": "a\x85b",
    "right to left": "\u202etxt.exe",
    "isolates": "\u2066a\u2069",
    "marks of direction": "\u200e\u200f\u061c",
    "line and paragraph": "a\u2028b\u2029c",
    "byte order mark": "\ufeffa",
    "tags": "\U000e0041\U000e007f",
    "half a pair": "\ud83d",
    "a file's name that is not UTF-8": os.fsdecode(b"caf\xe9"),
}
HARMLESS = ("plain", "tab\tand\nline", "Größe", "日本語", "👩\u200d🔬", "a\u200bb", "−5 × 3 ≥ ½")


# ---- showing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_a_terminal_obeys_is_printed(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert UNPRINTABLE.search(text)
    assert UNPRINTABLE.search(printable(text)) is None
    assert printable(printable(text)) == printable(text)
    output.say(text)
    output.fail_on_terminal(text)
    output.emit_command_json({text: [text]})
    output.whisper(text)
    output.print_terminal_table(("a", "b"), [(text, "x")])
    _show({"time": "2025-01-01T00:00:00", "level": text, "stage": text, "message": text})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.print_terminal_table(("a", "b"), [(text, "x")])
    output.whisper(text)
    shown = capsys.readouterr()
    assert UNPRINTABLE.search(re.sub("\x1b\\[[012]m", "", shown.out)) is None
    assert UNPRINTABLE.search(shown.err) is None
    assert json.loads(shown.out.splitlines()[1]) == {text: [text]}
    told = str(ForgeError(f"file {text}: bad"))
    assert UNPRINTABLE.search(told) is None
    assert "\n" not in told


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_does_not_print_by_these_makes_it_printable_itself(
    text: str, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), width=400, color_system=None)
    _print_fitted_terminal_table(console, "title", ("a", "b"), [(text, text)], "none")
    node = {"path": "models/x", "kind": "model", "md5": text, "model_id": text, "versions": [text], "parents": []}
    node |= {"stage": text, "params": {text: text}}
    lineage = {"ref": text, "tag": text, "commit": text, "path": "models/x", "nodes": [node]}
    console.print(_terminal_lineage_tree(lineage, params=True))
    status = {"state": "running", "step": 1, "total": 2, "note": text}
    atomic_write_text(project / ".forge" / "runs" / "trunk" / "status.json", json.dumps(status))
    watcher = Watcher([], {}, print)
    watcher.current = "trunk"
    console.print(terminal_progress_line(watcher, "tiny"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert UNPRINTABLE.search(shown) is None, shown
    record = logging.LogRecord("forge", logging.WARNING, "", 0, text, None, None)
    assert UNPRINTABLE.search(_OneLine(text).format(record)) is None
    assert UNPRINTABLE.search(ApiError(text).detail) is None
    said = f"warning: ignoring broken ref {text}".encode("utf-8", "surrogatepass")
    done = subprocess.CompletedProcess([], 0, b"", said)
    monkeypatch.setattr("forge.pipeline.dvc.git.subprocess.run", lambda *_, **__: done)
    git(project, "tag")
    told = capsys.readouterr().err
    assert told.startswith("git: warning: ")
    assert UNPRINTABLE.search(told) is None


def test_text_of_all_languages_is_printed_as_it_is() -> None:
    assert all(printable(text) == text for text in HARMLESS)


# ---- a conversation ----------------------------------------------------------------------------------------


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that thinks, calls a tool and repeats what it was asked, without a model."""

    def answer(model: Any, tokenizer: Any, conversations: Any, *, execute: Any, **options: Any) -> list[Generation]:
        said = conversations[0][-1]["content"]
        if options["hear"] is not None:
            options["hear"](f"hm {said}")
        if execute is not None:
            execute(f"search {said}")
        return [Generation([1], thought=f"hm {said}", text=f"you said {said}")]

    @contextmanager
    def load(path: str, *, workspace: Path | None = None, tools: Path | None = None) -> Iterator[Agent]:
        toolbox = SimpleNamespace(execute=lambda call: f"found {call}", close=lambda: None)
        model = SimpleNamespace(parameters=list)
        yield Agent(model, tiny_tokenizer(), Path(path), "file", _toolbox=toolbox)  # type: ignore[arg-type]

    monkeypatch.setattr("forge.runtime.agent.answer_all", answer)
    monkeypatch.setattr("forge.runtime.load.load_agent", load)


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


@pytest.mark.usefixtures("echo")
def test_calls_results_and_answers_are_made_printable(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "".join(HOSTILE.values()).encode("utf-8", "ignore") + b"\n")
    told = call("chat", "m")
    assert told.out.count("owned") == 8
    assert UNPRINTABLE.search(told.out) is None
    piped(monkeypatch, b"\x1b[2J\n")
    told_json = call("chat", "m", "--json").json
    assert (told_json["text"], told_json["thought"]) == ("you said \x1b[2J", "hm \x1b[2J")
    lines = [
        "  [thought] hm \\x1b[2J",
        "  [call] search \\x1b[2J",
        "  [result] found search \\x1b[2J",
        "you said \\x1b[2J",
    ]
    assert call("generate", "m", "\x1b[2J").out.splitlines() == lines


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",
        b"caf\xe9",
        b"\xed\xa0\xbd",
        b"\xf0\x9f",
        b"/persona \xff",
        "/history ²".encode(),
        b"/history " + b"9" * 5000,
    ],
)
def test_a_line_that_is_no_text_is_told_and_the_conversation_goes_on(
    call: Any, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    piped(monkeypatch, b"one\n" + bad + b"\ntwo\n")
    told = call("chat", "m", "--no-tools")
    assert told.code == 0
    assert "agent> you said one\n" in told.out
    assert told.out.endswith("agent> you said two\n")
    assert told.err.startswith("agent-forge: ")
    assert told.err.count("\n") == 1


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="how a pseudo-terminal ends differs")
def test_a_byte_that_is_no_text_ends_no_conversation_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "forge.cli.main", "chat", str(ROOT / "agents" / "tiny.forge")]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    terminal: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), follower)
    with subprocess.Popen(command, cwd=ROOT, env=environment, **terminal) as chat:
        limit = threading.Timer(120, chat.kill)
        limit.start()
        os.close(follower)
        os.write(leader, b"caf\xe9\nwhat is 17 * 23?\n/quit\n")
        told = b""
        with suppress(OSError):  # Linux ends a terminal that nobody holds with EIO
            while read := os.read(leader, 4096):
                told += read
    limit.cancel()
    os.close(leader)
    assert chat.returncode == 0, told
    assert b"agent> 391" in told, "readline leaves such a byte out, and the conversation goes on"
    assert b"Traceback" not in told


@pytest.mark.usefixtures("echo")
def test_a_line_without_an_end_is_not_taken_into_memory(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "MAX_LINE", 10)
    piped(monkeypatch, b"a" * 35 + b"\n" + b"bcdefghijk\n" + b"c" * 11)
    told = call("chat", "m", "--no-tools")
    assert [line for line in told.out.splitlines() if "said" in line] == ["agent> you said bcdefghijk"]
    assert told.err == "agent-forge: that line is longer than 10 characters\n" * 2


@pytest.mark.usefixtures("echo")
def test_long_calls_and_results_are_shown_short_and_gibberish_not_at_all(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = " ".join(f"word{i}" for i in range(40))
    told = call("generate", "m", long).out.splitlines()
    shown = [line for line in told if line.startswith(("  [call] ", "  [result] "))]
    assert len(shown) == 2
    assert all(line.endswith("...") and len(line.partition("] ")[2]) == use.LONGEST_SHOWN for line in shown)
    assert told[-1] == f"you said {long}"
    piped(monkeypatch, b"na na na na na na\n")
    assert call("chat", "m", "--no-tools").out.splitlines()[-1] == f"agent> {NO_ANSWER}"
    assert call("generate", "m", "na na na na na na", "--no-tools").out.splitlines()[-1] == NO_ANSWER


@pytest.mark.usefixtures("echo")
def test_a_prompt_of_bytes_that_are_no_text_is_one_line(call: Any) -> None:
    told = call("generate", "m", os.fsdecode(b"caf\xe9"))
    assert (told.code, told.out) == (1, "")
    assert told.err == "agent-forge: not UTF-8: '\\udce9' at character 4\n"


@pytest.mark.usefixtures("echo")
def test_no_stdin_is_one_line(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it when the shell says <&-
    told = call("chat", "m")
    assert (told.code, told.out) == (1, "")
    assert told.err == (
        "agent-forge: chat: stdin is closed, there is nobody to talk to; for one question: agent-forge generate\n"
    )

    def unreadable(size: int) -> str:
        raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, readline=unreadable))
    told = call("chat", "m")
    assert (told.code, told.err) == (1, "agent-forge: chat: stdin cannot be read (Is a directory)\n")


def test_closed_outputs_are_no_fault_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    output.print_terminal_table(("a",), [("x",)])
    assert not output.on_terminal()


# ---- words of the command line -----------------------------------------------------------------------------


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    ("arguments", "prompt"),
    [
        (["-5 + 3"], "-5 + 3"),
        (["-5"], "-5"),
        (["--5"], "--5"),
        (["-x = 4, what is x?"], "-x = 4, what is x?"),
        (["-(2 + 3)", "--seed", "3"], "-(2 + 3)"),
        (["--seed", "3", "-.5 * 2"], "-.5 * 2"),
        (["-", "--no-tools"], "-"),
        (["--persona", "teacher", "-- or so"], "-- or so"),
        (["--", "-x"], "-x"),
        (["--no-tools", "--", "--seed"], "--seed"),
    ],
)
def test_a_prompt_may_begin_with_a_dash(call: Any, arguments: list[str], prompt: str) -> None:
    told = call("generate", "m", *arguments)
    assert (told.code, told.out.splitlines()[-1]) == (0, f"you said {prompt}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-x"], "No such option"),
        (["--sead", "3", "hi"], "No such option"),
        (["hi", "--seed", "-5"], "greater than or equal to 0"),
        (["hi", "--seed", "18446744073709551616"], "4294967295"),
        (["hi", "--temperature", "1e-40"], "neither 0 nor from 0.01 to 100"),
        (["hi", "--temperature", "inf"], "neither 0"),
        (["hi", "--temperature", "nan"], "neither 0"),
        (["hi", "--temperature", "-1"], "neither 0"),
        (["hi", "--max-new-tokens", "1000000000"], "4096"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(call: Any, arguments: list[str], words: str) -> None:
    """The model does not even exist."""
    told = call("generate", "gone", *arguments)
    assert (told.code, told.out) == (2, "")
    assert words in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "gone", "--history", "1000000"],
        ["eval", "gone", "--n", "1000000000"],
        ["eval", "gone", "--seed", "18446744073709551616"],
        ["bench", "gone", "--repeats", "1000000000"],
        ["bench", "gone", "--seed", "18446744073709551616"],
        ["logs", "--lines", "99999999999999999999"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_bounds_are_wrong_usage(call: Any, arguments: list[str]) -> None:
    told = call(*arguments)
    assert (told.code, told.err.count("\n")) == (2, 1)


def test_without_a_command_the_help_is_shown(call: Any) -> None:
    for arguments in ([], ["config"], ["models"]):
        told = call(*arguments)
        assert (told.code, told.err) == (0, "")
        assert told.out == call(*arguments, "--help").out
        assert len(told.out.splitlines()) > 5


def test_the_version_is_told(call: Any) -> None:
    assert call("--version").out == f"agent-forge {forge.__version__}\n"
    assert call("--version").code == 0


# ---- what a model's path may be ----------------------------------------------------------------------------


def test_a_directory_stands_for_the_agent_in_it(tmp_path: Path) -> None:
    from forge.runtime.load import find_model

    (tmp_path / "compress").mkdir()
    packed = tmp_path / "compress" / "agent.forge"
    packed.write_bytes(b"x")
    assert find_model(tmp_path / "compress") == packed
    (tmp_path / "compress" / "config.json").write_text("{}")
    assert find_model(tmp_path / "compress") == tmp_path / "compress"


def test_commands_find_the_agent_in_a_directory(call: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.forge").write_bytes((ROOT / "agents" / "tiny.forge").read_bytes())
    assert call("size", tmp_path, "--json").json["total_bytes"] == (tmp_path / "agent.forge").stat().st_size
    assert call("generate", tmp_path, "what is 17 * 23?").out.splitlines()[-1] == "391"
    assert call("eval", tmp_path, "--n", "1", "--tasks", "products").code == 0


def test_a_model_of_another_kind_is_named(call: Any, tmp_path: Path) -> None:
    atomic_write_json(tmp_path / "config.json", {"model_type": "llama", "vocab_size": 32000})
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"x")
    told = call("generate", tmp_path, "hi")
    assert told.code == 1
    assert "config.json: a model of type 'llama'; only this project's own ('tinytitan') can be used" in told.err
