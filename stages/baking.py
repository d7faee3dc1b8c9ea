"""Phase 6, baking: bake tools and personas into the weights. Made by `make reference`."""

from forge.phases.baking.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("baking", run)
