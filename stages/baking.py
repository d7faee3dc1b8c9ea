"""Phase 6, baking: tools and personas move from the prompt into the weights."""

from forge.phases.baking.run import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("baking", run)
