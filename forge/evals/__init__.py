"""One scorer, one bootstrap, one ledger: everything that turns a model into a figure lives here."""

from forge.evals.bootstrap import Interval, mean_interval, paired_bootstrap
from forge.evals.bpb import bits_per_byte, held_out_texts
from forge.evals.claims import Claim, compare, read_claims, write_claims
from forge.evals.ledger import LedgerRow, deployable_files, ledger_row, read_ledger, write_ledger
from forge.evals.persona import PersonaClassifier, PersonaScore, score_personas
from forge.evals.suite import SuiteScore, score_suite
from forge.evals.tool_use import ToolScore, score_tools

__all__ = [
    "Claim",
    "Interval",
    "LedgerRow",
    "PersonaClassifier",
    "PersonaScore",
    "SuiteScore",
    "ToolScore",
    "bits_per_byte",
    "compare",
    "deployable_files",
    "held_out_texts",
    "ledger_row",
    "mean_interval",
    "paired_bootstrap",
    "read_claims",
    "read_ledger",
    "score_personas",
    "score_suite",
    "score_tools",
    "write_claims",
    "write_ledger",
]
