"""Phase 2, evomerge: evolve one model out of three. Made by `make reference`."""

from forge.phases.evomerge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("evomerge", run)
