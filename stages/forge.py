"""Phase 5, forge: train the ternary model for long. Made by `make reference`."""

from forge.phases.forge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("forge", run)
