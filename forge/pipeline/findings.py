"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "note", "wrong", "mended"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    check: what was looked at. state: `ok`; `note`, which a person may want to know; `wrong`; or `mended`. what: the
    fact. meaning: what follows from it. mend: how to put it right, or what was done. fix: does so, without losing
    anything that cannot be made again, and says what it did; None where only a person can.
    """

    check: str
    state: State
    what: str
    meaning: str = ""
    mend: str = ""
    fix: Callable[[], str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with `fixable` in place of the function."""
        names = ("check", "state", "what", "meaning", "mend")
        return {**{name: getattr(self, name) for name in names}, "fixable": self.fix is not None}
