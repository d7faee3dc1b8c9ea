"""Phase 1, first part: train the trunk that the three branches share."""

from forge.phases.cognate.run import run_trunk
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("trunk", run_trunk)
