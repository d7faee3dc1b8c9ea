"""Measurements that travel with the model that they are of, so that no stage repeats what an earlier one has measured.

A stage that saves a model puts what it has measured beside it (`measured.json`); a later stage that loads the model has
its scores without asking it again, and pairs its own model with them. What counts as the same is decided by content:
weights, configuration, tokenizer and the sizes of the evaluation.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.errors import ForgeError
from forge.evals.measure import Measurement
from forge.evals.suite import SuiteScore
from forge.files import atomic_write_json, canonical_json, read_json
from forge.model import TinyTitanConfig, TinyTitanForCausalLM

MEASURED_FILE = "measured.json"
_ASKED = [field.name for field in fields(Measurement)]
_SHAPE = [name for name in inspect.signature(TinyTitanConfig).parameters if name != "kwargs"]


def measurement_key(model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, sizes: dict[str, Any]) -> str:
    """Hex digest of all that a measurement follows from; two that are equal have equal measurements."""
    shape = {name: getattr(model.config, name) for name in _SHAPE}
    digest = hashlib.sha256(canonical_json([_ASKED, sizes, shape]).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class MeasurementTable:
    """Measurements by key: those beside the models that a stage has loaded, and those that it has made itself."""

    def __init__(self) -> None:
        self._rows: dict[str, Measurement] = {}
        self._used: set[str] = set()

    def find(self, key: str, measure: Callable[[], Measurement]) -> Measurement:
        """The measurement under a key, made where there is none."""
        if key not in self._rows:
            self._rows[key] = measure()
        self._used.add(key)
        return self._rows[key]

    def read(self, directory: Path) -> None:
        """Take in what lies beside a model, if anything does. Raises ForgeError for a file of another form."""
        path = directory / MEASURED_FILE
        if not path.is_file():
            return
        try:
            for key, row in read_json(path).items():
                self._rows.setdefault(key, _measurement_from_json(row))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ForgeError(f"{path}: not a table of measurements; run the stage that made it again") from error

    def write(self, directory: Path) -> None:
        """Put the measurements that were asked for, of the model and of its controls, beside the model."""
        if self._used:
            rows = {key: _measurement_to_json(self._rows[key]) for key in self._used}
            atomic_write_json(directory / MEASURED_FILE, rows)


def _measurement_to_json(measured: Measurement) -> dict[str, Any]:
    """Scores without the texts; a digit for each problem."""
    out = {name: getattr(measured, name) for name in _ASKED}
    for name, score in out.items():
        if isinstance(score, SuiteScore):
            digits = "".join(f"{right:.0f}" for right in score.correct)
            told = {key: value for key, value in vars(score).items() if key != "made"}
            out[name] = {**told, "correct": digits}
    return out


def _measurement_from_json(row: dict[str, Any]) -> Measurement:
    def score(told: dict[str, Any]) -> SuiteScore:
        return SuiteScore(**{**told, "correct": [float(digit) for digit in told["correct"]]})

    found: dict[str, Any] = {name: score(told) if isinstance(told, dict) else told for name, told in row.items()}
    return Measurement(**found)
