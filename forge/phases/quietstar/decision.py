"""What the claims decide: whether thoughts are switched on, and whether the run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.phases.quietstar.claims import MAIN, quietstar_thoughts_help


@dataclass(frozen=True)
class Decision:
    """Whether thoughts help, which weights go on (``input`` or a method), and validation accuracy with thoughts, by
    model."""

    helped: bool
    kept: str
    validation: Mapping[str, float]

    def noted(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims, the main one's note saying what was handed on and why."""
        scores = ", ".join(f"{name} {value:.3f}" for name, value in self.validation.items())
        words = (
            f"handed on: {'the model that came in' if self.kept == 'input' else f'the one trained by {self.kept}'}, "
            f"thoughts {'on' if self.helped else 'off'}; validation problems answered with a thought: {scores}"
        )
        return [
            claim.model_copy(update={"note": f"{claim.note}; {words}"}) if claim.claim == MAIN else claim
            for claim in claims
        ]


def decide_quietstar_handoff(
    on_fail: Literal["continue", "stop"], claims: Sequence[Claim], kept: str, validation: Mapping[str, float]
) -> Decision:
    """Thoughts on where the claims say that they help; ``kept`` is the best model by validation either way.

    Raises:
        ForgeError: thoughts do not help and ``on_fail`` is stop.
    """
    helped = quietstar_thoughts_help(claims)
    if not helped and on_fail == "stop":
        main = next(claim for claim in claims if claim.claim == MAIN)
        low, high = main.ci95 or (0.0, 0.0)
        raise ForgeError(
            f"thoughts do not help (exact match {main.value:.3f} with, {main.control_value:.3f} without, "
            f"95 % interval of the difference {low:+.3f} to {high:+.3f}) and quietstar.on_fail is stop"
        )
    return Decision(helped, kept, validation)
