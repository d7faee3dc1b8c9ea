"""Before phase 6: draw rows of the tools that a user has declared."""

from forge.data.declared.stage import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("tools", run)
