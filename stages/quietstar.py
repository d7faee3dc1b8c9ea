"""Phase 3, Quiet-STaR: the model learns to think before it answers."""

from forge.phases.quietstar.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("quietstar", run)
