"""What tests of the pipeline begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.files import atomic_write_text, write_manifest


@pytest.fixture
def prepared(project: Path) -> Path:
    """A project whose data stage has run."""
    for path in ("data/prepared", "data/workspace"):
        atomic_write_text(Path(path) / "f.txt", "x")
        write_manifest(path)
    return project
