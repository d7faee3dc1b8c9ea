"""Phase 3, quietstar: teach it to think before it answers. Made by `make reference`."""

from forge.phases.quietstar.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("quietstar", run)
