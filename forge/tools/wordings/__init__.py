"""How people ask for the built-in tools: what they say, and what they say it of. Each tool's declaration takes its own."""
