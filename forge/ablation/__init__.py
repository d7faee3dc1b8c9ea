"""Ablations: which part of a TinyTitan earns its place, on the suite's data and on two generated problems."""
