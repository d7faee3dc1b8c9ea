"""The examples of the pages about Python and the server are run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forge.tools.declared.reading import read_tools_file
from tests.support.scripted import script_engine
from tests.support.toy_agent import build_toy, declare_in_metadata

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOUSE = ROOT / "examples" / "home" / "tools.yaml"


def _examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _run(code: str, known: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    exec(compile(code, "example", "exec"), known)  # noqa: S102 - the project's own pages
    return capsys.readouterr().out


def test_the_examples_in_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    build_toy(tmp_path / "models" / "compress", **declare_in_metadata(*read_tools_file(HOUSE).tools))
    monkeypatch.chdir(tmp_path)
    first, second, own = _examples("python.md")
    script_engine(monkeypatch, "[call]", "calculator 17*23", "[result]", "391", "[end]")
    text, call = _run(first, {}, capsys).splitlines()
    assert text == "391"
    assert call.startswith("calculator {'expression': '17*23'} 391 0.")
    script_engine(monkeypatch, "[call]", "calculator 17*23", "[result]", "It is 391", "[end]")
    assert _run(second, {}, capsys) == "It is 391\n"
    script_engine(monkeypatch, "[call]", 'set_light {"name":"hall light","brightness":30}', "[result]")
    assert _run(own, {}, capsys) == "set_light {'name': 'hall light', 'brightness': 30} None\n"


def test_the_examples_with_openais_client_run(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = _examples("serve.md")
    known: dict[str, Any] = {}
    script_engine(monkeypatch, "It is 391", "[end]")
    assert _run(first.replace("http://127.0.0.1:8080/v1", service.address), known, capsys) == "It is 391\n"
    script_engine(monkeypatch, "[call]", "calculator 17*23", "[result]", "It is 391", "[end]")
    assert _run(second, known, capsys) == "It is 391\n"
