"""Phase 1, cognate: measure the branches against each other. Made by `make reference`."""

from forge.phases.cognate.run import run_cognate_branches
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("branches", run_cognate_branches)
