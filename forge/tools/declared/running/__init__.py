"""What a call of a declared tool runs: a command, a Python function, an HTTP request, a tool of an MCP server."""
