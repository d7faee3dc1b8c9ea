"""Phase 1, cognate: train a branch that specializes. Made by `make reference`."""

from forge.phases.cognate.run import run_cognate_branch
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("cognate", run_cognate_branch)
