"""Phase 4, bitnet: make its weights ternary. Made by `make reference`."""

from forge.phases.bitnet.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("bitnet", run)
