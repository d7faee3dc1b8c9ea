"""Ablations: which part of a TinyTitan earns its place (`dvc repro ablations/dvc.yaml`)."""
