"""The life of a stage: `with stage("bitnet") as run:` around the call of one function.

On entry: parameters are checked, the handoff contract is checked, signals are caught, seeds are set, records
are opened. On exit: what DVC expects is there, or the process leaves with one line on stderr (1: refused or
failed, 130: interrupted after saving). See `forge.interface.paths` and `forge.pipeline.layout.paths` for the two roots.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forge.config import load_params
from forge.errors import ForgeError, Interrupted
from forge.host.disk import is_disk_full, is_read_only, storage_fault_note
from forge.host.signals import end_at_once, stop_on_signals
from forge.interface.paths import declared_stage_name
from forge.pipeline.layout.phases import find_stage_in_layout
from forge.pipeline.lifecycle.run import Run
from forge.pipeline.records.logs import logging_to
from forge.pipeline.records.tracking import keep_tracking_offline

LOG = logging.getLogger(__name__)


def run_stage(name: str, body: Callable[[Run], None]) -> None:
    """What `python -m stages.<name> [--branch B]` does: run a phase's function as a stage."""
    parser = argparse.ArgumentParser(prog=f"stages.{name}")
    if find_stage_in_layout(name).branched:
        parser.add_argument("--branch", required=True)
    run: Run | None = None
    lifecycle = stage_lifecycle(name, vars(parser.parse_args()).get("branch"))
    try:
        try:
            with lifecycle as run:
                body(run)
        except Interrupted as late:  # the grace ended between the body and the lifecycle, which has not heard of it
            lifecycle.__exit__(Interrupted, late, late.__traceback__)
    except SystemExit as ending:
        if run is not None and run.orphaned:
            end_at_once(ending)
        raise


def _seed_everything(seed: int, *, torch_too: bool) -> None:
    """Seed the global generators (libraries use them; our code has its own) and forbid nondeterministic
    kernels.
    """
    random.seed(seed)
    if not torch_too:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import numpy as np
    import torch

    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    # The same flag as use_deterministic_algorithms, which imports torch's compiler besides: a second or two, for
    # nothing in a stage without an optimizer (torch.optim imports it too).
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory with NaN would find reads of uninitialized values, at the cost of a pass a tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if threads := os.environ.get("AGENT_FORGE_THREADS"):
        torch.set_num_threads(int(threads))


@contextmanager
def stage_lifecycle(name: str, branch: str | None = None, *, params: str | Path = "params.yaml") -> Iterator[Run]:
    """Run the block as a stage of the pipeline.

    Args:
        name: a stage of `forge.pipeline.layout.phases.STAGES`.
        branch: which one, for a branched stage.
        params: parameter file of the workspace.

    Raises:
        SystemExit: 1 on a `ForgeError`, 130 on `Interrupted`; one line is on stderr then.
    """
    keep_tracking_offline()
    label = declared_stage_name(name, branch)
    with logging_to(label) as log, stop_on_signals() as stop:
        run: Run | None = None
        try:
            declared = find_stage_in_layout(name)
            if branch not in declared.branches:
                known = ", ".join(str(b) for b in declared.branches)
                raise ForgeError(f"{name}: no branch {branch!r}; known: {known}")
            run = Run(declared, branch, load_params(params), stop, log)
            resumed = run.begin()
            _seed_everything(run.seed, torch_too=name not in ("data", "tools", "report"))
            LOG.info("%s at scale %s", "resumed" if resumed else "started", run.scale)
            yield run
            run.complete()
            LOG.info("done in %.1f s", run.seconds)
        except BaseException as error:
            stop.settle()
            state, note, code = _stage_lifecycle_ending(stop.cause(error))
            if run is not None and (unwritten := run.give_up(state, note)):
                LOG.warning("the records of this run are not whole: %s", unwritten)
            LOG.log(logging.INFO if state == "paused" else logging.ERROR, "%s", note)
            if code is None:
                raise
            if state == "paused":
                print(f"{label}: {note}", file=sys.stderr)
            raise SystemExit(code) from error
        finally:
            if run is not None:
                run.release()


def _stage_lifecycle_ending(error: BaseException) -> tuple[str, str, int | None]:
    """How a stage ends that does not complete: its state, a line for the user, and the exit code; None for a fault of
    the program, whose traceback is wanted."""
    if isinstance(error, Interrupted):
        return "paused", str(error), 130
    if isinstance(error, ForgeError):
        return "failed", str(error), 1
    if is_disk_full(error) or is_read_only(error):
        return "failed", str(storage_fault_note(error)), 1
    return "failed", f"{type(error).__name__}: {error}", None
