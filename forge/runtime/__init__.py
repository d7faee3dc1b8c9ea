"""What a finished agent needs in order to be used: loading, talking, timing, weighing."""
