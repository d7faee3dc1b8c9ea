"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "note", "wrong", "fixed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    check: what was looked at. state: `ok`; `note`, which a person may want to know; `wrong`; or `fixed`. what: the
    fact. meaning: what follows from it. fix: how to put it right, or what was done. apply: does so, without losing
    anything that cannot be made again, and says what it did; None where only a person can.
    """

    check: str
    state: State
    what: str
    meaning: str = ""
    fix: str = ""
    apply: Callable[[], str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with `fixable` in place of the function."""
        names = ("check", "state", "what", "meaning", "fix")
        return {**{name: getattr(self, name) for name in names}, "fixable": self.apply is not None}
