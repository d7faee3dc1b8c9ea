"""Phase 8, compress: squeeze it into one file. Made by `make reference`."""

from forge.phases.compress.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("compress", run)
