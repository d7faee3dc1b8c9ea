"""Sets of free questions, and what an answer to one may be: words that the command line offers without reading any."""

from __future__ import annotations

from typing import Literal, get_args

QuestionSet = Literal["choose", "report"]
QUESTION_SETS: tuple[QuestionSet, ...] = get_args(QuestionSet)
Verdict = Literal["right", "refused", "wrong", "junk", "empty"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
