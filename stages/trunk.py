"""Phase 1, cognate: train the trunk that the branches share. Made by `make reference`."""

from forge.phases.cognate.run import run_cognate_trunk
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("trunk", run_cognate_trunk)
