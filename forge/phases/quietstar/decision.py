"""What is handed on: decided by the claims and, where thoughts do not help, by validation loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.phases.quietstar.claims import MAIN, quietstar_thoughts_help


@dataclass(frozen=True)
class Decision:
    """Whether thoughts help, and which weights go on.

    loss_before, loss_after: mean loss per supervised token (nats) on validation rows, thoughts off.
    """

    helped: bool
    kept: Literal["trained", "input"]
    loss_before: float
    loss_after: float

    def noted(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims, the main one's note saying what was handed on and why."""
        words = (
            f"handed on: the {self.kept} model, thoughts {'on' if self.helped else 'off'}; "
            f"validation loss without thoughts {self.loss_before:.4f} before, {self.loss_after:.4f} after training"
        )
        return [
            claim.model_copy(update={"note": f"{claim.note}; {words}"}) if claim.claim == MAIN else claim
            for claim in claims
        ]


def decide_quietstar_handoff(
    on_fail: Literal["continue", "stop"], claims: Sequence[Claim], loss_before: float, loss_after: float
) -> Decision:
    """The trained weights where thoughts help, else the better by validation loss.

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
    better = helped or loss_after <= loss_before
    return Decision(helped, "trained" if better else "input", loss_before, loss_after)
