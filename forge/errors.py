"""The two exceptions that a person may meet, and text of others made safe to show.

Every layer raises these; only the outermost one (`forge.cli`, `forge.pipeline.lifecycle.stage`) turns them into a line
on stderr and an exit code. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import re

# What a terminal obeys, or what hides, turns around or runs on the text beside it: C0 but tab and line break, DEL, C1,
# line separators, controls of direction, halves of surrogate pairs (no encoding can write them), invisible tags.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""`text` as a terminal may show it: a character of `UNPRINTABLE` is written out (`\x1b`, `\u202e`)."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class ForgeError(Exception):
    """A fault that the user can act on.

    The message is a single line that names what is wrong and where (file, key, rule). Exit code 1.
    """

    def __str__(self) -> str:
        """The message with line breaks folded, so that it stays one line wherever it is printed, and printable."""
        return printable(" ".join(super().__str__().split()))


class Interrupted(BaseException):
    """A training or evolving loop stopped on a signal after saving its state. Exit code 130.

    Like KeyboardInterrupt no `Exception`: a signal's handler raises it anywhere, and libraries turn every `Exception`
    that passes through them into errors of their own.

    Args:
        step: steps (or generations) completed and saved.
        total: steps (or generations) of the whole run.
    """

    def __init__(self, step: int, total: int) -> None:
        where = f"paused at step {step} of {total}" if total else "stopped before the first step"
        super().__init__(f"{where}; go on with: agent-forge run")
        self.step = step
        self.total = total
