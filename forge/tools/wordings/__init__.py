"""How people ask for the built-in tools: what they say, and of what. Each declaration takes its own."""
