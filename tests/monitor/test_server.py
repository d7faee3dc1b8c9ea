"""The dashboard's server: how it is started, and that it obeys nobody else's settings."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from forge.cli.main import main
from forge.monitor import launch, server
from forge.monitor.gate import dashboard_origin
from forge.tools.scratch import abandoned_tool_scratch
from tests.attacks.origins import ORIGINS

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = """
[global]
developmentMode = true
[server]
address = "0.0.0.0"
port = 1
baseUrlPath = "elsewhere"
enableCORS = false
enableXsrfProtection = false
corsAllowedOrigins = ["*"]
allowedHosts = ["*"]
enableStaticServing = true
enableAgentApi = true
[browser]
gatherUsageStats = true
serverAddress = "elsewhere.example"
[client]
allowedOrigins = ["https://elsewhere.example"]
[theme]
base = "http://elsewhere.example/theme.toml"
"""
VARIABLES = {
    "STREAMLIT_SERVER_ENABLE_CORS": "false",
    "STREAMLIT_SERVER_BASE_URL_PATH": "elsewhere",
    "STREAMLIT_SERVER_ADDRESS": "0.0.0.0",
    "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",
    "STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true",
    "STREAMLIT_SERVER_COOKIE_SECRET": "known",
}


def test_what_cannot_be_served_is_told_in_one_line(
    empty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*arguments: str) -> str:
        assert main(["monitor", *arguments]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return str(err)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in told("--port", str(port))
    assert "--open is for a terminal" in told("--open")

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert "port 80 cannot be used (Permission denied)" in told("--port", "80")
    Path("dvc.yaml").unlink()
    assert "no dvc.yaml here" in told()


def test_the_process_becomes_the_server(
    empty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: seen.append(arguments))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert main(["monitor", "--port", "45671"]) == 0
    assert capsys.readouterr().out == ""
    program, line, environment = seen[0]
    assert program == sys.executable
    assert line[1:] == ["-P", "-m", "forge.monitor.server", "45671"]
    assert launch.dashboard_server_command(1, open_browser=True)[-1] == "--open"
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
    assert not [name for name in environment if name.startswith("STREAMLIT")]
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    assert main(["monitor", "--port", "45671"]) == 1
    assert "needs Streamlit" in capsys.readouterr().err


def test_the_browser_gets_the_address_by_a_file_that_others_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()
    seen: list[str] = []
    monkeypatch.setattr(server.webbrowser, "open", lambda address: (seen.append(address), opened.set()))
    with server.ExitStack() as stack:
        server.open_dashboard_in_browser("http://127.0.0.1:1/secret/", stack)
        assert opened.wait(10)
        page = Path(seen[0].removeprefix("file://"))
        assert "secret" not in seen[0]
        assert "url=http://127.0.0.1:1/secret/" in page.read_text()
        assert page.parent.stat().st_mode & 0o077 == 0
        assert page.parent not in abandoned_tool_scratch(), "the folder of a living dashboard is somebody's"
    assert not page.exists()


@dataclass
class Served:
    """The command itself on a free port, its address as it was printed, and who was asked through the proxy."""

    process: subprocess.Popen[str]
    address: str
    asked: list[str]

    @property
    def port(self) -> int:
        return int(self.address.split(":")[2].split("/")[0])

    @property
    def path(self) -> str:
        return "/" + self.address.split("/")[3] + "/"

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        caller = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        caller.request("GET", path, headers=headers)
        answer = caller.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]
        caller.close()
        return answer

    def connect(self, origin: str) -> Any:
        return connect(f"ws://127.0.0.1:{self.port}{self.path}_stcore/stream", origin=origin, open_timeout=10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server among settings that would open it, with a proxy that notes every request to the outside."""
    folder, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    (home / ".streamlit").mkdir()
    (home / ".streamlit/config.toml").write_text(HOSTILE)
    (home / ".streamlit/secrets.toml").write_text('[auth]\nredirect_uri = "http://elsewhere.example"\n')
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit/config.toml").write_text("[[[ not TOML")
    asked: list[str] = []
    proxy = socket.create_server(("127.0.0.1", 0))

    def note() -> None:
        while True:
            try:
                caller, _ = proxy.accept()
            except OSError:
                return
            asked.append(caller.recv(4096).decode(errors="replace"))
            caller.close()

    threading.Thread(target=note, daemon=True).start()
    through = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "forge.cli.main", "monitor", "--port", str(port)],
        cwd=folder,
        env={
            **os.environ, **VARIABLES, "PYTHONPATH": str(ROOT), "HOME": str(home), "HTTP_PROXY": through,
            "http_proxy": through, "HTTPS_PROXY": through, "https_proxy": through, "no_proxy": "", "NO_PROXY": "",
        },
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.endswith("/ (Ctrl-C ends it)\n"), process.communicate()
        yield Served(process, line.split(" ")[0], asked)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        proxy.close()


@pytest.mark.long
def test_the_printed_address_answers_and_no_other_does(served: Served) -> None:
    token = served.path.strip("/")
    assert len(token) == 32
    assert served.address == f"{dashboard_origin('127.0.0.1', served.port)}/{token}/"
    page = served.get(served.path)
    assert page.status == 200
    assert b"<title>" in page.body  # type: ignore[attr-defined]
    assert "frame-ancestors 'none'" in str(page.headers["content-security-policy"])
    assert page.headers["access-control-allow-origin"] is None
    health = served.get(f"{served.path}_stcore/health", Origin=f"http://127.0.0.1:{served.port}")
    assert (health.status, health.body) == (200, b"ok")  # type: ignore[attr-defined]
    for path in ("/", "/_stcore/health", "/elsewhere/", f"/{'0' * 32}/"):
        assert served.get(path).status == 403, path
    assert served.get(served.path, Host=f"localhost:{served.port}").status == 403
    assert served.get(served.path, Origin="http://127.0.0.1:9999").status == 403
    family = psutil.Process(served.process.pid)
    assert {c.laddr for c in family.net_connections("inet") if c.status == psutil.CONN_LISTEN} == {
        ("127.0.0.1", served.port)
    }
    assert token not in " ".join(family.cmdline())


@pytest.mark.long
def test_nobodys_settings_but_its_own(served: Served) -> None:
    settings = json.loads(served.get(f"{served.path}_stcore/host-config").body)  # type: ignore[attr-defined]
    assert settings["allowedOrigins"] == []
    answer = served.get(f"{served.path}app/static/x")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, None)  # the page, as for any path


@pytest.mark.long
def test_a_page_of_another_origin_opens_no_connection_and_makes_it_ask_nobody(served: Served) -> None:
    for origin in filter(None, (*ORIGINS, f"http://localhost:{served.port}", f"http://evil@127.0.0.1:{served.port}")):
        with pytest.raises(InvalidStatus) as refused, served.connect(origin):
            pass
        assert refused.value.response.status_code == 403, origin
    assert served.asked == []
    with served.connect(f"http://127.0.0.1:{served.port}"):
        assert served.asked == []


@pytest.mark.long
def test_a_signal_ends_it_and_leaves_nothing(served: Served) -> None:
    with served.connect(f"http://127.0.0.1:{served.port}"):  # a browser that stays
        process = psutil.Process(served.process.pid)
        family = [process, *process.children(recursive=True)]
        served.process.send_signal(signal.SIGTERM)
        out, err = served.process.communicate(timeout=20)
    assert served.process.returncode == 0, err
    assert not [member for member in family if member.is_running()]
    assert (out, err) == ("", "")
    assert served.asked == []
