"""What others put into a request to the dashboard, which answers at `http://127.0.0.1:8501/<TOKEN>/`."""

from __future__ import annotations

PORT = 8501
ORIGIN = f"http://127.0.0.1:{PORT}"
HOST = f"127.0.0.1:{PORT}"
TOKEN = "0123456789abcdef" * 2

HOSTS = (
    "", "127.0.0.1", "127.0.0.1:8502", "127.0.0.1:8501.evil.example", "evil.example", "evil.example:8501", "localhost",
    "localhost:8501", "[::1]:8501", "0.0.0.0:8501", "127.0.0.1:8501@evil.example", "evil@127.0.0.1:8501", "127.1:8501",
    "127.0.0.1:08501", "2130706433:8501", "127.0.0.1:8501, evil.example",
)  # fmt: skip
ORIGINS = (
    "", "null", "*", "http://evil.example", "https://127.0.0.1:8501", "http://127.0.0.1", "http://127.0.0.1:8502",
    "http://127.0.0.1:8501/", "http://127.0.0.1:8501.evil.example", "http://localhost", "http://localhost:8501",
    "http://localhost:9999", "http://evil@localhost", "http://evil@127.0.0.1:8501", "http://127.0.0.1:8501@evil.example",
    "http://0.0.0.0:8501", "http://[::1]:8501", "HTTP://127.0.0.1:8501", "file://", "http://127.0.0.1:8501 http://evil",
)  # fmt: skip
PATHS = (
    "", "/", "//", f"//{TOKEN}/", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", f"/{TOKEN.upper()}/", f"/x/{TOKEN}/",
    "/_stcore/stream", "/_stcore/health", "/_stcore/agent/interact", f"/_stcore/{TOKEN}", "/é/", "/\x00",
    f"/../{TOKEN}/", f"/ {TOKEN}/", "/?token=" + TOKEN, "/app/static/secret",
)  # fmt: skip
METHODS = ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
