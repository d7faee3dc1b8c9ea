"""What docs/troubleshooting.md says of programs that are not ours holds for the versions that the lock names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_fault_of_dvc_is_told_of_the_version_in_the_lock() -> None:
    """`dvc exp run --temp` and letters beyond ASCII: try it again with another version."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    told = re.search(
        r"`dvc exp run --temp` fails where [^*]*letters beyond ASCII\*\* [^:]*: a fault of DVC (\S+)\.", page
    )
    assert told is not None
    assert f"\ndvc=={told[1]}\n" in (ROOT / "requirements.lock").read_text(encoding="utf-8")
