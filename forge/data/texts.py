"""Plain texts: the book that reasoning_gym ships, and a user's own files."""

from __future__ import annotations

import hashlib
import json
import random
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from forge.data.splits import dataset_split_by_hash
from forge.data.personas import PERSONAS
from forge.data.render import ROLES
from forge.errors import ForgeError

CHUNK_CHARS = 160
SUFFIXES = (".txt", ".md", ".jsonl", ".parquet")
_NAMES = (
    *("red", "blue", "tree", "lamp", "fox", "moon", "salt", "drum"),
    *("leaf", "coin", "ship", "rose", "king", "milk", "door", "sand"),
)


def book_chunks() -> list[str]:
    """'In the Year 2889' (public domain, shipped by reasoning_gym) in pieces of about 160 characters at
    sentence ends."""
    book = files("reasoning_gym.data").joinpath("in_the_year_2889.txt").read_text(encoding="utf-8")
    start, end = book.find("*** START"), book.find("*** END")
    return chunk_text(book[book.find("\n", start) : end] if 0 <= start < end else book)


def chunk_text(text: str) -> list[str]:
    """Cut a text into pieces of at most about 160 characters, at sentence ends where possible."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    chunks, current = [], ""
    for sentence in sentences:
        if len(sentence) > 2 * CHUNK_CHARS and current:
            chunks.append(current)
            current = ""
        while len(sentence) > 2 * CHUNK_CHARS:
            cut = sentence.rfind(" ", 0, CHUNK_CHARS) + 1 or CHUNK_CHARS
            chunks.append(sentence[:cut].strip())
            sentence = sentence[cut:]
        if current and len(current) + len(sentence) > CHUNK_CHARS:
            chunks.append(current)
            current = sentence
        else:
            current = f"{current} {sentence}".strip()
    return [c for c in [*chunks, current] if c]


def own_dataset_rows(paths: list[str]) -> list[dict[str, Any]]:
    """A user's own data as rows: .txt/.md files become texts; .jsonl and .parquet rows hold either ``text``
    or ``messages``.

    A directory stands for every such file in it. ForgeError names the file and line of anything that cannot
    be used.
    """
    rows: list[dict[str, Any]] = []
    for path in _expand_data_paths(paths):
        if path.suffix in (".txt", ".md"):
            rows += [{"text": chunk} for chunk in chunk_text(_read_data_text(path))]
        elif path.suffix == ".jsonl":
            for number, line in enumerate(_read_data_text(path).split("\n"), 1):
                if line.strip():
                    rows += _own_dataset_record_rows(_parse_own_dataset_line(line, f"{path}:{number}"), f"{path}:{number}")
        elif path.suffix == ".parquet":
            for number, record in enumerate(_read_parquet_data(path), 1):
                rows += _own_dataset_record_rows(record, f"{path}: row {number}")
        else:
            raise ForgeError(f"data.own_data: {path}: only .txt, .md, .jsonl and .parquet are read")
    return rows


def _expand_data_paths(paths: list[str]) -> list[Path]:
    out: list[Path] = []
    for name in paths:
        path = Path(name)
        if not path.exists():
            raise ForgeError(f"data.own_data: {path} does not exist")
        out += sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    return out


def _read_data_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ForgeError(f"data.own_data: {path}: not UTF-8 text ({error.reason})") from error


def _parse_own_dataset_line(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ForgeError(f"data.own_data: {where}: not JSON ({error.msg})") from error


def _read_parquet_data(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ForgeError(
            "data.own_data: reading .parquet needs the extra: pip install 'agent-forge[parquet]'"
        ) from error
    try:
        records: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise ForgeError(f"data.own_data: {path}: not readable as parquet ({error})") from error
    return records


def _own_dataset_record_rows(record: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(record, dict) and isinstance(record.get("text"), str):
        return [{"text": chunk} for chunk in chunk_text(record["text"])]
    messages = record.get("messages") if isinstance(record, dict) else None
    if (
        isinstance(messages, list)
        and messages
        and all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in messages)
    ):
        turns = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
        for turn in turns:
            if turn["role"] not in ROLES or (turn["role"] == "persona" and turn["content"] not in PERSONAS):
                raise ForgeError(f"data.own_data: {where}: {turn['role']}: no such role or persona")
        if not any(turn["role"] in ("assistant", "call") for turn in turns):
            raise ForgeError(f"data.own_data: {where}: no assistant turn, so there is nothing to learn")
        return [{"messages": turns}]
    raise ForgeError(f"data.own_data: {where}: needs 'text' or 'messages' with 'role' and 'content'")


def recall_dialogues(n: int, seed: int, split: str) -> list[dict[str, Any]]:
    """Key-value recall: a list of pairs, then one key; the memory branch's diet. Splits differ by the hash of
    the prompt."""
    rng = random.Random(f"recall-{seed}-{split}")
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        keys = rng.sample(_NAMES, rng.randint(3, 8))
        pairs = {key: str(rng.randint(10, 99)) for key in keys}
        asked = rng.choice(keys)
        listed = ", ".join(f"{key} {value}" for key, value in pairs.items())
        prompt = f"Remember {listed}. What is {asked}?"
        if dataset_split_by_hash(prompt) == split:
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": pairs[asked]}]
            rows.append({"kind": "recall", "task": "recall", "messages": messages, "difficulty": len(keys) / 8})
    return rows
