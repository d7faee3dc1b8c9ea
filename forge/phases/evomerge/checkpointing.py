"""What watches an evolution: it logs every generation, saves the state, and stops where it is asked to."""

from __future__ import annotations

import sys
import time

from forge.errors import Interrupted
from forge.interface.run import LoopRun
from forge.phases.evomerge.state import EvolutionState, Record
from forge.train import load_checkpoint, save_checkpoint

SAVE_SECONDS = 20.0  # between saves in mid-generation: what a killed run loses at most


class Checkpointer:
    """Logs an evolution, saves it, and stops it when asked: after any evaluation, not only between generations."""

    def __init__(self, run: LoopRun, generations: int, every: int) -> None:
        self.run, self.generations, self.every = run, generations, every
        self.folder = run.checkpoint_dir / "evolution"
        self.saved_at = time.monotonic()

    def load(self) -> EvolutionState | None:
        """Where the run stands, None at its beginning."""
        saved = load_checkpoint(self.folder)
        return EvolutionState.from_dict(saved[1]) if saved is not None else None

    def after_evaluation(self, record: Record, state: EvolutionState) -> None:
        """Tell of a discarded merge; save now and then; stop if asked to."""
        if record.fitness is None:
            name = "+".join(record.techniques) or "a parent"
            print(f"generation {record.generation}: {name} discarded: {record.failure}", file=sys.stderr, flush=True)
        due = time.monotonic() - self.saved_at > SAVE_SECONDS
        if self.run.stop_requested or due:
            self.save(state)
        if self.run.stop_requested:
            raise Interrupted(max(0, state.generation), self.generations)

    def after_generation(self, row: dict[str, float], state: EvolutionState) -> None:
        """Log the generation; save every so many; stop if asked to."""
        generation = int(row["generation"])
        series = {"best": "best_fitness", "average": "avg_fitness", "diversity": "diversity_score"}
        self.run.log(generation, **{f"fitness/{name}": row[key] for name, key in series.items()})
        self.run.progress(generation, self.generations, f"best {row['best_fitness']:.3f}")
        stopping = self.run.stop_requested and generation < self.generations
        if stopping or generation % self.every == 0:
            self.save(state)
        if stopping:
            raise Interrupted(generation, self.generations)

    def save(self, state: EvolutionState) -> None:
        """Write the state, evaluations of the generation in progress included."""
        # Both only grow, and either does with every evaluation: the newest state has the highest number.
        save_checkpoint(self.folder, state.lookups + len(state.records), {}, state.to_dict())
        self.saved_at = time.monotonic()
