"""Options that several commands have."""

from __future__ import annotations

import math
from typing import Annotated

import typer


def option_without_nan(value: float) -> float:
    """The value of an option; wrong usage for NaN, which the parser's bounds let pass: no comparison with it holds."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


ASK_BELOW = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        callback=option_without_nan,
        help="Ask instead of making a call whose chance of being right is lower than this.",
    ),
]
