"""Phase 4, BitNet: ternary weights."""

from forge.phases.bitnet.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("bitnet", run)
