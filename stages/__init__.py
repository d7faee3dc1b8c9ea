"""The stages that `dvc.yaml` runs: thin scripts that open inputs, call one function of `forge`, publish
outputs.
"""
