"""Phase 5, Forge: the long training loop on the ternary model."""

from forge.phases.forge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("forge", run)
