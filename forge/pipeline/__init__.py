"""The pipeline: stages, their handoff contracts, what they publish and record, and the runner that drives
DVC.
"""
