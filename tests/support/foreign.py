"""Folders of other people's, with questions by writers who saw neither program nor model (tests/foreign)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

FOLDERS = Path(__file__).resolve().parents[1] / "foreign"


def build_foreign_workspace(name: str, target: Path) -> Path:
    """Write one of them, with the database that its script makes."""
    shutil.copytree(FOLDERS / name, target, ignore=shutil.ignore_patterns("*.sql", "questions.jsonl"))
    with closing(sqlite3.connect(target / "company.db")) as database:
        database.executescript((FOLDERS / name / "company.sql").read_text(encoding="utf-8"))
        database.commit()
    return target


def foreign_questions(name: str) -> list[dict[str, Any]]:
    """question, accepted (texts of which one must be shown; none where nothing can be told), from (what tells it)."""
    lines = (FOLDERS / name / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]
