"""Phase 7, edge: prune, recover, fuse, and time it on this machine."""

from forge.phases.edge.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("edge", run)
