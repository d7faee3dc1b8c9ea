"""Bounds of the server, and the names of this machine; light, for the command."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_KEY = 8  # characters of an API key
LARGEST_BODY = 4 << 20  # bytes
PROMPT_TOKENS, MOST_PROMPT_TOKENS = 2048, 32_768  # of a prompt: where nothing is said, and at most
WAITING, MOST_WAITING = 16, 1000  # requests behind the one that is answered
