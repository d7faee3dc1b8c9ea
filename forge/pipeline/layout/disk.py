"""How much of the disk a stage or a whole run will take, by parameters and scale."""

from __future__ import annotations

from forge.config import Params
from forge.interface.phase import Stage
from forge.pipeline.layout.phases import STAGES, phase_in_layout

MIB = 2**20
_FLOAT = 4
_BASE = 64 * MIB  # logs, metrics, W&B
_RUN_BASE = 500 * MIB
# A row of the data set: 610 bytes of text and tokens, measured at scale smoke, in the draft, in what was there before,
# and in DVC's copy.
_ROW = 3 * 650
_FAMILIES = 10  # of the suite; three kinds of rows are counted by family


def stage_bytes(stage: Stage, params: Params) -> int:
    """Bytes that a stage may need on the disk before it ends."""
    if stage.name == "data":
        return _BASE + _data_bytes_in_layout(params)
    if not stage.publishes:
        return _BASE
    return _BASE + _layout_space_for_weights(params) * phase_in_layout(stage.phase).weight_copies


def run_bytes_in_layout(params: Params) -> int:
    """Bytes that all stages together need: every model stays, in the workspace and in the cache."""
    models = sum(len(stage.branches) for stage in STAGES if stage.publishes)
    largest = max(stage_bytes(stage, params) for stage in STAGES if stage.publishes)
    return _RUN_BASE + _data_bytes_in_layout(params) + largest + 3 * models * _layout_space_for_weights(params)


def _layout_space_for_weights(params: Params) -> int:
    return int(params.block("cognate").parameters_target) * _FLOAT


def _data_bytes_in_layout(params: Params) -> int:
    data = params.block("data")
    each = data.train_direct + data.train_tooled + data.train_worked + data.eval_per_family + data.val_per_family
    rows = _FAMILIES * each
    rows += data.train_tool + data.train_persona + data.train_recall + data.train_text
    return int(rows) * _ROW
