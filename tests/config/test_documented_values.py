"""The pages of the phases name parameters with their values at scale tiny: those of params.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forge.config import read_params_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/phases").glob("[1-8]-*.md"))
ROW = re.compile(r"^\| (`[a-z]+\.[^|]+`) \| ([^|]+) \|", re.MULTILINE)  # keys, the first one whole; their values


def shown(value: Any) -> list[str]:
    """A value as a page writes it; of a list, or of all keys of a block, each."""
    if isinstance(value, list):
        return [text for entry in value for text in shown(entry)]
    if isinstance(value, dict):  # an entry of the curriculum
        return [" to ".join(str(part) for part in value.values())]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def documented(tree: Any, key: str) -> list[str]:
    """What a page should say of a key, which may end in ``.*``."""
    *path, last = key.replace("<scale>", "tiny").split(".")
    for name in path:
        tree = tree[name]
    return shown(list(tree.values())) if last == "*" else shown(tree[last])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_the_values_of_the_parameters(page: Path) -> None:
    tree = read_params_yaml(ROOT / "params.yaml")
    rows = ROW.findall(page.read_text(encoding="utf-8"))
    assert rows
    for keys, values in rows:
        first, *others = re.findall(r"`([^`]+)`", keys)
        names = [first, *(f"{first.rpartition('.')[0]}.{name}" for name in others)]
        expected = [text for name in names for text in documented(tree, name)]
        assert re.split(r"[,;] ", values.strip().replace("`", "")) == expected, keys
