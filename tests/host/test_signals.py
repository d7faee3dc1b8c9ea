"""Asking a stage to stop: what is still interrupted, how long it may take, and what happens when nobody is left to
ask.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from forge.data.render import encode_many
from forge.errors import Interrupted
from forge.host import signals
from forge.host.machine import process_started
from forge.host.signals import stop_on_signals
from forge.pipeline.lifecycle import stage
from forge.pipeline.records.tracking import read_recorded_status
from tests.support.tiny_models import tiny_tokenizer

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_interrupted_once_it_has_settled() -> None:
    with stop_on_signals(grace=0.01) as stop:
        stop.settle()
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 5
        while signal.getitimer(signal.ITIMER_REAL)[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop.requested


def test_the_end_of_the_grace_passes_through_code_that_catches_every_exception() -> None:
    """torch's `load_state_dict`, for one, turns whatever happens inside it into a RuntimeError."""

    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Exception as error:
            raise RuntimeError("something went wrong") from error

    with pytest.raises(Interrupted), stop_on_signals(grace=0.01):
        library()


def test_an_end_of_the_grace_that_a_library_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "REMINDER_SECONDS", 0.05)
    with pytest.raises(Interrupted), stop_on_signals(grace=0.01):
        os.kill(os.getpid(), signal.SIGTERM)
        with suppress(BaseException):
            time.sleep(5)
        time.sleep(5)


def test_an_error_that_the_end_of_the_grace_became_is_a_pause() -> None:
    """Compiled code clears what is raised inside it and fails in words of its own."""
    fault = ValueError("could not determine the shape")
    with stop_on_signals(grace=0.01) as stop:
        stop.step, stop.total = 3, 9
        assert stop.cause(fault) is fault
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.cause(fault) is fault, "the grace is not over"
        with suppress(Interrupted):
            time.sleep(5)
        stop.settle()
        assert str(stop.cause(fault)) == str(Interrupted(3, 9))


def test_an_orphan_gets_little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_on_signals(grace=100.0) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 90
        assert not stop.orphaned
        monkeypatch.setattr(os, "getppid", lambda: 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3.0


@pytest.mark.parametrize(("started_by_dvc", "adopted", "code"), [(True, False, 0), (True, True, 130), (False, True, 0)])
def test_a_stage_that_comes_after_dvcs_death_leaves_at_once(started_by_dvc: bool, adopted: bool, code: int) -> None:
    """A parent in another session is not who started the stage."""
    done = subprocess.run(
        [sys.executable, "-c", "import stages"],
        env={**os.environ, "PYTHONPATH": str(ROOT)} | ({"DVC_STAGE": "trunk"} if started_by_dvc else {}),
        start_new_session=adopted,
        check=False,
    )
    assert done.returncode == code


ORPHAN = textwrap.dedent(
    """
    import os, sys, time
    from forge.errors import Interrupted
    from forge.pipeline.lifecycle.stage import stage_lifecycle
    with stage_lifecycle("data") as run:
        print(os.getpid(), flush=True)
        while not run.stop_requested:
            time.sleep(0.02)
        raise Interrupted(1, 2)
    """
)
DEAF = textwrap.dedent(
    """
    import os, threading
    from forge.host.signals import hearing_signals
    from forge.pipeline.lifecycle.stage import stage_lifecycle
    with stage_lifecycle("data"):
        print(os.getpid(), flush=True)
        hearing_signals(threading.Event().wait)  # stands for a call of compiled code that takes minutes
    """
)
PROMISED, REAPED = 3.0, 3.0  # seconds that a stage outlives its parent at most; that the machine takes to say so


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
@pytest.mark.parametrize("code", [ORPHAN, DEAF], ids=["that looks about", "in a long call"])
def test_a_stage_does_not_outlive_its_parent(project: Path, code: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + PROMISED + REAPED
    while process_started(child) is not None:
        assert time.monotonic() < deadline, f"process {child} lives on"
        time.sleep(0.05)
    assert read_recorded_status(project / ".forge/runs/data")["state"] == "paused"  # type: ignore[index]
    parent.stdout.close()


def test_another_thread_can_run_a_stage_without_signals() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_on_signals() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_long_call_of_compiled_code_keeps_no_signal_waiting() -> None:
    over = threading.Event()  # waiting for it stands for a call that Python's handlers cannot interrupt
    with pytest.raises(Interrupted), stop_on_signals(grace=0.01):
        os.kill(os.getpid(), signal.SIGTERM)
        signals.hearing_signals(over.wait)
    over.set()
    assert signals.hearing_signals(lambda: [1, 2]) == [1, 2]
    with pytest.raises(KeyError, match="no"):
        signals.hearing_signals(lambda: {}["no"])
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(signals.hearing_signals(lambda: 3)))
    thread.start()
    thread.join()
    assert seen == [3]


def test_the_tokenizer_keeps_no_signal_waiting() -> None:
    threads: list[threading.Thread] = []
    tokenizer = tiny_tokenizer()

    def encode_batch(texts: list[str], **options: bool) -> list[SimpleNamespace]:
        threads.append(threading.current_thread())
        return [SimpleNamespace(ids=[len(text)]) for text in texts]

    encode_many(SimpleNamespace(backend_tokenizer=SimpleNamespace(encode_batch=encode_batch)), ["a", "bc"])  # type: ignore[arg-type]
    assert threads[0] is not threading.main_thread()
    assert encode_many(tokenizer, ["a"]) == {"a": tokenizer.encode("a", add_special_tokens=False)}


@pytest.mark.parametrize("orphaned", [True, False])
def test_an_orphan_clears_nothing_up(orphaned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[SystemExit] = []

    @contextmanager
    def lifecycle(name: str, branch: str | None) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(orphaned=orphaned)
        raise SystemExit(130)

    monkeypatch.setattr(stage, "stage_lifecycle", lifecycle)
    monkeypatch.setattr(stage, "end_at_once", ended.append)
    monkeypatch.setattr(sys, "argv", ["stages.data"])
    with pytest.raises(SystemExit):
        stage.run_stage("data", lambda run: None)
    assert [ending.code for ending in ended] == ([130] if orphaned else [])


def test_an_end_that_nobody_waits_for_clears_nothing_up() -> None:
    code = "import atexit; from forge.host.signals import end_at_once as end; atexit.register(print, 'late')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('told'); end(SystemExit(130))"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "told\n", "")
