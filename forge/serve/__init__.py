"""An agent behind OpenAI's API: chat completions, completions, models."""
