"""Measurements in the middle of a training run, kept beside its checkpoints so that a resumed run has them too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forge.files import atomic_write_json, read_json


class PointFile:
    """Points by step, a JSON object each with the key ``step``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points: list[dict[str, Any]] = read_json(path) if path.is_file() else []

    def add(self, step: int, **values: Any) -> None:
        """Add a point. A resumed run repeats the steps since its checkpoint: what was measured there is dropped."""
        self.points = [point for point in self.points if point["step"] < step] + [{"step": step, **values}]
        atomic_write_json(self.path, self.points)
