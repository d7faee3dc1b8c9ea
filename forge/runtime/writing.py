"""An answer as it is written: its text piece by piece, up to a stop string, and a request to end it early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_HALF = "\ufffd"  # what bytes become that are no whole character (yet)


class AnswerText:
    """Follows the ids of an answer and tells its text in pieces that, joined, are the text of all of them.

    A piece never ends within a character, and never in what may become a stop string. White space at the start is kept
    back until something follows it: an answer of nothing else counts as none.

    Args:
        tell: hears the pieces; None where only the stops matter.
        stops: the text ends before the first of them.
        ended: asked after every token; true ends the answer where it is.

    Attributes:
        text: all of it up to now, without a stop string and what follows it.
        told: what was told of it.
        stopped: a stop string was met.
        muted: tell nothing, because something else will be said in place of this text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        tell: Callable[[str], None] | None = None,
        stops: Sequence[str] = (),
        ended: Callable[[], bool] | None = None,
    ) -> None:
        self._backend: Any = tokenizer.backend_tokenizer
        self._tell, self._stops, self._ended = tell, tuple(stops), ended
        self.muted = False
        self._begin()

    def _begin(self) -> None:
        self._read, self._pending, self.text, self.told, self.stopped = 0, list[int](), "", "", False

    def watch(self, answer: Sequence[int]) -> bool:
        """Take the ids of the answer so far, as the engine gives them after every token; true where it shall end."""
        if len(answer) < self._read:  # a call or a thought was in between
            self._begin()
        if len(answer) > self._read:
            self._pending += answer[self._read :]
            self._read = len(answer)
            piece = self._decode()
            if not piece.endswith(_HALF):
                self._add(piece)
        return self.stopped or (self._ended is not None and self._ended())

    def finish(self) -> None:
        """Tell what was kept back: no token follows."""
        if not self.stopped:
            self._add(self._decode())
        self._say(len(self.text))

    def _decode(self) -> str:
        from forge.data.render import ID

        # Without the wrapper of transformers, which gives the same: this is done for every token.
        text: str = self._backend.decode([i for i in self._pending if i >= len(ID)], skip_special_tokens=False)
        return text

    def _add(self, piece: str) -> None:
        self._pending = []
        new = len(self.text) - max((len(stop) for stop in self._stops), default=1) + 1
        self.text += piece
        found = [place for stop in self._stops if (place := self.text.find(stop, max(0, new))) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
        self._say(len(self.text) - (0 if self.stopped else self._held()))

    def _held(self) -> int:
        """Length of the longest end of the text with which a stop string begins."""
        return max(
            (size for stop in self._stops for size in range(1, len(stop)) if self.text.endswith(stop[:size])), default=0
        )

    def _say(self, upto: int) -> None:
        piece = self.text[len(self.told) : upto]
        if self.muted or not piece or not self.text[:upto].strip():
            return
        self.told += piece
        if self._tell is not None:
            self._tell(piece)
