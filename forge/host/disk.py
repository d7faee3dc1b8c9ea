"""Room on the disk: how much a stage or a whole run will take, asked before work begins, and what to say when it
runs out all the same."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from forge.config import Params
from forge.errors import ForgeError

MIB = 2**20
_FLOAT = 4
# Copies of the weights, in float32, that a stage has on the disk at its fullest: three checkpoints (two that are kept
# and the one being written) of weights and up to three values of optimizer state; the draft of the output, the output
# before it, DVC's copy of the new one, and a packed form beside each.
_COPIES = 3 * 4 + 6
_MODELS = 13  # stages that publish one
_BASE = 64 * MIB  # logs, metrics, W&B
_RUN_BASE = 500 * MIB
# A row of the data set: 610 bytes of text and tokens, measured at scale smoke, in the draft, in what was there before,
# and in DVC's copy.
_ROW = 3 * 650
_FAMILIES = 10  # of the suite; two kinds of rows are counted by family
_REMEDIES = "free some (agent-forge clean removes what is left of old runs) or take a smaller scale"


def stage_bytes(phase: str, params: Params) -> int:
    """Bytes that a stage may need on the disk before it ends, by parameters and scale."""
    if phase == "report":
        return _BASE
    if phase == "data":
        data = params.phase("data")
        rows = _FAMILIES * (data.train_direct + data.train_tooled + data.eval_per_family + data.val_per_family)
        rows += data.train_tool + data.train_persona + data.train_recall + data.train_text
        return _BASE + int(rows) * _ROW
    return _BASE + int(params.phase("cognate").parameters_target) * _FLOAT * _COPIES


def run_bytes(params: Params) -> int:
    """Bytes that all stages together need: every model stays, in the workspace and in the cache."""
    weights = int(params.phase("cognate").parameters_target) * _FLOAT
    return _RUN_BASE + stage_bytes("data", params) + weights * (_COPIES + 3 * _MODELS)


def check_room(needed: int, who: str, *folders: Path) -> None:
    """Refuse work that would fill the disk.

    Raises:
        ForgeError: less than ``needed`` bytes are free where one of the folders lies.
    """
    for folder in folders:
        place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(place).free
        if free < needed:
            raise ForgeError(
                f"{who} needs {needed / 2**30:.1f} GiB free on the disk of {place.absolute()},"
                f" there are {free / 2**30:.1f}; {_REMEDIES}"
            )


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, of Python or of a library that only passes the words on, says that no space is left."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return says_disk_full(str(error))


def says_disk_full(text: str) -> bool:
    """Whether a line of output tells of a full disk."""
    return "No space left on device" in text or "Disk quota exceeded" in text


def disk_full_note(error: BaseException | None = None) -> str:
    """One line for the user: what the system says, that nothing is broken, and what to do."""
    words, file = getattr(error, "strerror", None), getattr(error, "filename", None)
    where = f" ({words or error}{f': {file}' if file else ''})" if error else ""
    return f"the disk is full{where}; nothing half-written was kept: {_REMEDIES}, then run again"
