"""Phase 7, edge: prune, fuse and time it. Made by `make reference`."""

from forge.phases.edge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("edge", run)
