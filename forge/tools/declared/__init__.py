"""Tools that a user declares in YAML: what they are called, what they take, how people ask for them, what they run."""
