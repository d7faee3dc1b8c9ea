"""The command `agent-forge`. Modules here import nothing heavy at the top, so that a light command answers at
once.
"""
