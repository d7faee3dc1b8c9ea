"""How calls are decoded: what they may be, whether one is due, and how sure the model must be to act on it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError

if TYPE_CHECKING:
    from forge.model.constrain import CallGrammar

CONFIDENCE_KEY = "call_confidence"  # of metadata.json
LARGEST_LOG_ODDS = 15.0  # a float32 of a probability beyond this is 0 or 1


def model_log_odds_of_call(score: float) -> float:
    """Log-odds of a call of log-probability ``score``, within ±:data:`LARGEST_LOG_ODDS`."""
    if score >= 0:
        return LARGEST_LOG_ODDS
    return min(LARGEST_LOG_ODDS, max(-LARGEST_LOG_ODDS, score - math.log(-math.expm1(score))))


@dataclass(frozen=True)
class Calibration:
    """From a call's log-probability to the chance that it is right: Platt scaling (1999) of its log-odds.

    The default leaves the probability as the model gives it. ``slope`` is not negative: a likelier call is never less
    trusted.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def probability(self, score: float) -> float:
        """Chance in 0..1 that a call is right. ``score``: sum of the log-probabilities of its tokens."""
        return 1.0 / (1.0 + math.exp(-(self.slope * model_log_odds_of_call(score) + self.intercept)))

    def to_metadata(self) -> dict[str, dict[str, float]]:
        """The entry of metadata.json."""
        return {CONFIDENCE_KEY: asdict(self)}


def model_call_calibration(metadata: Mapping[str, Any], where: str) -> Calibration:
    """The calibration in a model's metadata, the default one where there is none.

    Raises:
        ForgeError: names ``where``; it is not two finite numbers, the slope at least 0, both at most 1,000.
    """
    found = metadata.get(CONFIDENCE_KEY)
    if found is None:
        return Calibration()
    values = list(found.values()) if isinstance(found, dict) and found.keys() == {"slope", "intercept"} else []
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 2 or not all(abs(number) <= 1000 for number in numbers) or found["slope"] < 0:
        raise ForgeError(f"{where}: {CONFIDENCE_KEY} is not a slope of at least 0 and an intercept")
    return Calibration(float(found["slope"]), float(found["intercept"]))


@dataclass(frozen=True)
class CallRules:
    """How calls are decoded.

    Attributes:
        grammar: what a call may be; None leaves it to the model.
        due: an answer begins with a call (after its thought, if it has one).
        ask_below: a call less likely right than this is not run: the answer asks whether it is meant.
        calibration: how likely right a call is.
    """

    grammar: CallGrammar | None = None
    due: bool = False
    ask_below: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)


def call_question(call: str) -> str:
    """The question whether a call is meant: "Did you mean: set_light, name hall light, brightness 30?" """
    name, _, rest = call.partition(" ")
    try:
        arguments = json.loads(rest)
    except (ValueError, RecursionError):
        return f"Did you mean: {call}?"
    if not isinstance(arguments, dict):
        return f"Did you mean: {call}?"
    return f"Did you mean: {', '.join([name, *(f'{key} {_in_words(value)}' for key, value in arguments.items())])}?"


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " and ".join(map(_in_words, value)) if isinstance(value, list) else str(value)
