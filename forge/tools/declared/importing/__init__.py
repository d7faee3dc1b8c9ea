"""Tools files drafted from what others have: OpenAI's `tools`, Python functions, MCP servers."""
