"""The long training loop on the ternary model: the Grokfast filter (arXiv 2405.20233), easier problems first, and
accuracy measured as it goes, for the grokking detector."""

from __future__ import annotations

from dataclasses import replace

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.forge.grokking import Point
from forge.phases.forge.monitor import LoopMonitor, forge_loop_perplexity, grokfast_metrics, weight_norm
from forge.phases.forge.params import Params
from forge.train import TrainResult, language_loss, loss_settings, train_on_planned_batches, training_loop_settings
from forge.train.points import PointFile

PROBE_ROWS = 128
PROBED = ("direct", "tooled", "tool", "worked")


class AccuracyProbe:
    """Exact match on fixed training and validation samples every so many steps; survives a resume through a file."""

    def __init__(self, run: PhaseRun[Params], model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet) -> None:
        self.run, self.model = run, model
        self.sets = [data.sample(PROBE_ROWS, run.seed, *PROBED) for data in (train, val)]
        self.file = PointFile(run.checkpoint_dir / "probe.json")

    @property
    def points(self) -> list[Point]:
        """What was measured so far."""
        return [Point(**point) for point in self.file.points]

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        """Measure if it is time."""
        if step % self.run.params.eval_every and step != self.run.params.steps:
            return
        train, val = (likelihood(self.model, sample).accuracy for sample in self.sets)
        self.model.train()
        self.file.add(step, train_accuracy=train, val_accuracy=val)
        self.run.log(
            step, **{"val/accuracy": val, "train/accuracy_exact": train, "val/generalization_gap": train - val}
        )


def train_forge_long_run(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet
) -> tuple[TrainResult, list[Point]]:
    """Train ``model`` in place; the loop's result and the probe's measurements."""
    p, training = run.params, run.training
    settings = replace(
        training_loop_settings(p, training),
        grokfast_alpha=p.grokfast_alpha,
        grokfast_lambda=p.grokfast_lambda,
    )
    curriculum = [(part.share, part.difficulty) for part in p.curriculum]
    probe, monitor = AccuracyProbe(run, model, train, val), LoopMonitor(model)

    def after_step(step: int, metrics: dict[str, float]) -> None:
        monitor()
        if step % settings.log_every == 0 or step == settings.steps:
            run.log(step, **_watched_forge_metrics(model, monitor, step, metrics, p))
        probe(step, metrics)
        monitor.resume()

    loss, mix = monitor.loss(language_loss(**loss_settings(training))), training.mix.model_dump()
    result = train_on_planned_batches(
        run, model, train, mix, loss, settings, p.batch_tokens, curriculum=curriculum, on_step=after_step
    )
    return result, probe.points


def _watched_forge_metrics(
    model: TinyTitanForCausalLM, monitor: LoopMonitor, step: int, metrics: dict[str, float], params: Params
) -> dict[str, float]:
    """What `fit` does not log itself: the filter's norms, the weights', precision, the machine."""
    slow = grokfast_metrics(metrics, params.grokfast_alpha, params.grokfast_lambda) if params.grokfast_lambda else {}
    return {
        "train/step": step,
        "train/perplexity": forge_loop_perplexity(metrics["loss"]),
        "train/tokens_per_second": monitor.tokens_per_second,
        "train/weight_norm": weight_norm(model),
        **slow,
        **monitor.metrics(),
    }
