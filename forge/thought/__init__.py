"""Phase 3, Quiet-STaR: thoughts before the answer, the gate that mixes them in, and whether they help."""

from forge.thought.evaluate import Evaluation, evaluate_thoughts, suite_problems, thought_claims
from forge.thought.gate import ThoughtGate
from forge.thought.phase import Outcome, quiet_star
from forge.thought.thinker import FILE, Thinker, load_thinker

__all__ = [
    "FILE",
    "Evaluation",
    "Outcome",
    "Thinker",
    "ThoughtGate",
    "evaluate_thoughts",
    "load_thinker",
    "quiet_star",
    "suite_problems",
    "thought_claims",
]
