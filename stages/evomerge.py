"""Phase 2, EvoMerge: evolve one model out of the three branches."""

from forge.phases.evomerge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("evomerge", run)
