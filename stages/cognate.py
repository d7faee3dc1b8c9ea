"""Phase 1, second part: one branch of the trunk specializes."""

from forge.phases.cognate.run import run_branch
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("cognate", run_branch)
