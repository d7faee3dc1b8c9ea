"""What the phases and the pipeline agree on: how a phase is declared, and what a run offers it."""
