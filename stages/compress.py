"""Phase 8, final compression: the whole agent in one file."""

from forge.phases.compress.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("compress", run)
