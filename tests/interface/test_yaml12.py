"""One reader of YAML: what is shown, checked and run are the same values; what would harm is refused at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.interface.yaml12 import LARGEST_LOCK, parse_yaml, read_yaml
from tests.attacks.yaml_texts import REFUSED, alias_bomb, merge_bomb

ROOT = Path(__file__).resolve().parents[2]

# What YAML 1.1 and 1.2 read differently, and what people write.
WORDS = re.findall(
    r"\S+",
    """
    010 0o10 0x1F 0b11 1_000 1__0 +7 -0 00 08 09 1:30 1:30:00 20:03:20 190:20:30.15
    on off yes no y n Y N On OFF Yes NO true True TRUE false False null Null ~
    1e-05 1E5 1e5 1.5e3 1e+3 .5 5. -.5 .5e-3 .inf -.Inf 1e400 0.1 1_0.5 e5 1e 0x 1.2.3
    tiny "010" '1:30' "on" '1e5' "<<" 2001-1-1x [1,on,010] a=b 12e03 0.0 -1 é 日本
    """,
)


def test_values_are_those_that_dvc_hands_to_a_stage() -> None:
    """Oracle: the reader of DVC itself."""
    from dvc.utils.serialize import parse_yaml as parse_as_dvc

    for word in WORDS:
        text = f"value: {word}\n{word if word[0] not in '[{' else 'key'}: 1\n"
        ours, theirs = parse_yaml(text, "params.yaml"), parse_as_dvc(text, "params.yaml")
        assert repr(ours) == repr(theirs), word
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "ablations/params.yaml", "ablations/dvc.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert parse_yaml(text, name, LARGEST_LOCK) == parse_as_dvc(text, name), name


@pytest.mark.parametrize(
    ("word", "value"),
    [("010", 10), ("1:30", "1:30"), ("on", "on"), ("yes", "yes"), ("no", "no"), ("1_000", 1000), ("1e-05", 1e-05)],
)
def test_yaml_is_1_2(word: str, value: Any) -> None:
    found = parse_yaml(f"a: {word}", "params.yaml")["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_lock_may_have_the_aliases_that_dvc_writes() -> None:
    """DVC gives a name to a list that it has met twice; a bomb needs names within names."""
    text = "a: &id001 [1, {b: 2}]\nc: *id001\nd: {e: *id001}\n"
    found = parse_yaml(text, "dvc.lock", aliases=True)
    assert found["c"] == found["d"]["e"] == [1, {"b": 2}]
    for bomb in (alias_bomb(), merge_bomb(), "a: &x {b: 1}\nc: {<<: *x}\n"):
        with pytest.raises(ForgeError, match=r"anchors and aliases|merge keys"):
            parse_yaml(bomb, "dvc.lock", aliases=True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_harm_is_refused_in_one_line(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(ForgeError) as caught:
        parse_yaml(text, "params.yaml")
    line = str(caught.value)
    assert line.startswith("params.yaml")
    assert words in line
    assert "\n" not in line
    assert len(line) < 300


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbfseed: 1\r\n")
    assert read_yaml(tmp_path / "p.yaml") == {"seed": 1}


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b"a: \xe9\n")
    (tmp_path / "long").write_bytes(b"#" * (1 << 20))
    for path, words in (
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "regular file|cannot be read"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "latin", "not UTF-8"),
        (tmp_path / "long", "at most 131,072 are read"),
    ):
        with pytest.raises(ForgeError, match=words):
            read_yaml(path)
