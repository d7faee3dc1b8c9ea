"""Before phase 1: draw problems and dialogues, train the tokenizer."""

from forge.data.stage import run
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("data", run)
