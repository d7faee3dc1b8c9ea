"""After phase 8: gather what the phases wrote."""

from forge.pipeline.lifecycle.stage import run_stage
from forge.pipeline.report.gather import run

if __name__ == "__main__":
    run_stage("report", run)
