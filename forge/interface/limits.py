"""Bounds that parameters, options and files share; light, for commands that start no library."""

LARGEST_SEED = 2**32 - 1  # NumPy's; sums with the seeds of branches and samples stay below torch's 2**64 - 1
COOLEST, HOTTEST = 0.01, 100.0  # temperatures; beyond, the logits divided by them are infinite or all alike
MOST_ANSWER_TOKENS = 4096
