"""Before all phases: note what code each stage reaches, see `forge.pipeline.dvc.code`."""

from forge.pipeline.dvc.code import write_code_hashes

if __name__ == "__main__":
    write_code_hashes()
