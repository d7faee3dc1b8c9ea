"""Calls of declared tools, really run: what they print, return and answer, and what becomes of all that fails."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.tools import Toolbox
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.running.run_http import refuse_tool_host
from forge.tools.declared.running.toolbox import DeclaredToolbox, JoinedToolbox

SECONDS = 5.0  # a loaded machine takes a second to start Python


def toolbox(folder: Path, runs: dict[str, str], hosts: str = "[]", timeout_s: float = SECONDS) -> DeclaredToolbox:
    """Tools of one free and one whole number, by name, each with its `run`."""
    takes = "{properties: {n: {type: integer, maximum: 9}, s: {type: string}}}"
    entries = [f"  - {{name: {name}, parameters: {takes}, run: {run}}}\n" for name, run in runs.items()]
    path = folder / "tools.yaml"
    path.write_text("tools:\n" + "".join(entries) + f"hosts: {hosts}\n", encoding="utf-8")
    return DeclaredToolbox([read_tools_file(path)], timeout_s)


# ---- what is refused before anything runs ----


def test_a_call_that_the_schema_refuses_runs_nothing(tmp_path: Path) -> None:
    with toolbox(tmp_path, {"touch": "{command: [touch, made]}"}) as tools:
        for call, reason in (
            ('touch {"n":10}', "error: touch: n: 10 is greater than the maximum of 9"),
            ('touch {"m":1}', "error: touch: Additional properties"),
            ("touch {", "error: touch: not JSON"),
            ("touch", "error: "),
            ("other {}", "error: unknown tool other"),
            ("", "error: unknown tool"),
        ):
            assert tools.execute(call).startswith(reason)
        assert not (tmp_path / "made").exists()
        assert tools.execute("touch {}") == "ok"
        assert (tmp_path / "made").exists()


def test_without_a_run_the_call_is_the_product(tmp_path: Path) -> None:
    (tmp_path / "tools.yaml").write_text("tools: [{name: bell}]")
    with DeclaredToolbox([read_tools_file(tmp_path / "tools.yaml")]) as tools:
        assert tools.execute("bell {}") == "ok"


# ---- commands ----


def test_a_command_gets_json_and_answers_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("import json, sys\nprint(json.load(sys.stdin), '\\n', 'x' * 500)")
    with toolbox(tmp_path, {"echo": "{command: [python, echo.py]}"}) as tools:
        result = tools.execute('echo {"s":"é; rm -rf $HOME","n":3}')
    assert result.startswith("{'s': 'é; rm -rf $HOME', 'n': 3} xxx")
    assert len(result) == 200


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("[no-such-program]", "error: no-such-program cannot be started: No such file"),
        ("[sh, -c, 'echo one >&2; echo the reason >&2; exit 3']", "error: the reason"),
        ("[sh, -c, 'exit 3']", "error: sh ended with code 3"),
        ("[sleep, '60']", "error: sleep took longer than 5 s"),
        ("[sh, -c, 'exec >&-; sleep 60']", "error: sh took longer than 5 s"),
        ("[sh, -c, 'kill -9 $$']", "error: sh ended with code -9"),
    ],
)
def test_a_command_that_fails_is_told(tmp_path: Path, run: str, reason: str) -> None:
    with toolbox(tmp_path, {"tool": f"{{command: {run}}}"}) as tools:
        assert tools.execute("tool {}").startswith(reason)


def test_a_command_may_print_without_end_and_leave_a_child_behind(tmp_path: Path) -> None:
    runs = {"yes": "{command: ['yes']}", "leaves": "{command: [sh, -c, 'sleep 30 & echo $!']}"}
    with toolbox(tmp_path, runs, timeout_s=20) as tools:
        begun = time.monotonic()
        assert tools.execute("yes {}").startswith("y y y")
        child = int(tools.execute("leaves {}"))
        assert time.monotonic() - begun < 10
        os.kill(child, 9)


def test_what_a_slow_command_started_ends_with_it(tmp_path: Path) -> None:
    with toolbox(tmp_path, {"slow": "{command: [sh, -c, 'sleep 60 & echo $! > pid; wait']}"}) as tools:
        assert "took longer" in tools.execute("slow {}")
    child = (tmp_path / "pid").read_text().strip()
    for _ in range(100):
        if not is_alive(child):
            break
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- Python functions ----

HOME = """
import os, sys, time
state = []
def add(n=0, s=""):
    print("noise"); sys.stdout.flush(); os.write(1, b"more noise")
    state.append(n)
    return {"state": state, "s": s}
def fail(n=0): raise ValueError("no\\nsuch thing")
def slow(): time.sleep(60)
def leave(): os._exit(1)
def nothing(): sys.stdin.read()
class Odd:
    def __str__(self): return "odd"
def odd(): return [Odd()]
async def later(n): return n + 1
def typed(n: str): return n
"""


def test_python_functions_remember_and_what_they_raise_is_told(tmp_path: Path) -> None:
    (tmp_path / "home.py").write_text(HOME)
    names = ("add", "fail", "slow", "leave", "nothing", "odd", "later", "absent", "typed")
    with toolbox(tmp_path, {name: f"{{python: 'home:{name}'}}" for name in names}) as tools:
        assert tools.execute('add {"n":1}') == '{"state": [1], "s": ""}'
        assert tools.execute('add {"n":2,"s":"ü"}') == '{"state": [1, 2], "s": "ü"}'
        assert tools.execute('fail {"n":1}') == "error: home.py:8: ValueError: no such thing"
        assert tools.execute("absent {}") == "error: LookupError: home has no function absent"
        assert tools.execute("nothing {}") == "ok"
        assert tools.execute("odd {}") == '["odd"]'
        assert tools.execute('later {"n":4}') == "5"
        assert tools.execute('typed {"n":4}').startswith("error: ")
        assert tools.execute("add {}") == '{"state": [1, 2, 0], "s": ""}'
        assert tools.execute("slow {}") == "error: the function took longer than 5 s; what it remembered is lost"
        assert tools.execute("add {}") == '{"state": [0], "s": ""}'
        assert tools.execute("leave {}").startswith("error: the function ended its process")
        assert tools.execute("add {}") == '{"state": [0], "s": ""}'


def test_a_users_module_may_have_the_name_of_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "forge.py").write_text("def name(): return __file__")
    with toolbox(tmp_path, {"name": "{python: 'forge:name'}"}) as tools:
        assert tools.execute("name {}") == str(tmp_path / "forge.py")


# ---- requests ----


class Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "/echo")
            self.end_headers()
            return
        self.send_response(404 if self.path.startswith("/lost") else 200)
        self.end_headers()
        if self.path.startswith("/drip"):
            for _ in range(200):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)
        self.wfile.write(f"{self.command} {self.path} {body}".encode())

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def test_requests_carry_the_arguments(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    runs = {
        "ask": f"{{http: {{method: GET, url: '{server}/echo?key=1'}}}}",
        "tell": f"{{http: {{method: POST, url: '{server}/echo'}}}}",
        "lost": f"{{http: {{method: PUT, url: '{server}/lost'}}}}",
        "away": f"{{http: {{method: GET, url: '{server}/away'}}}}",
        "drip": f"{{http: {{method: GET, url: '{server}/drip'}}}}",
        "nobody": "{http: {method: GET, url: 'http://localhost:9/'}}",
    }
    with toolbox(tmp_path, runs) as tools:
        assert tools.execute('ask {"n":3,"s":"a b&c"}') == "GET /echo?key=1&n=3&s=a+b%26c"
        method, path, body = tools.execute('tell {"n":3,"s":"ü"}').split(" ", 2)
        assert (method, path, json.loads(body)) == ("POST", "/echo", {"n": 3, "s": "ü"})
        assert tools.execute("lost {}") == "error: 404 Not Found: PUT /lost {}"
        assert tools.execute("away {}") == "error: 302 Found"
        assert tools.execute("drip {}").startswith("error: no whole answer within 5 s")
        assert tools.execute("nobody {}").startswith("error: the request failed: ")


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "localhost.example", "2130706433", "[::ffff:8.8.8.8]", "0.0.0.0"]
)
def test_other_hosts_are_asked_only_if_they_are_listed(tmp_path: Path, host: str) -> None:
    run = {"tool": f"{{http: {{method: GET, url: 'http://{host}:81/x'}}}}"}
    with toolbox(tmp_path, run) as tools:
        assert "name it under hosts" in tools.execute("tool {}")
    with pytest.raises(ForgeError, match="an address begins with"):
        refuse_tool_host(f"http://127.0.0.1@{host}:81/", [host])
    refuse_tool_host(f"http://{host}:81/", [host])
    refuse_tool_host(f"http://{host}:81/", [f"{host}:81"])
    with pytest.raises(ForgeError, match="hosts"):
        refuse_tool_host(f"http://{host}:82/", [f"{host}:81"])


@pytest.mark.parametrize("url", ["http://localhost/", "http://LOCALHOST:1/", "http://127.0.0.9/", "https://[::1]:4/x"])
def test_this_machine_may_be_asked(url: str) -> None:
    refuse_tool_host(url, [])
    with pytest.raises(ForgeError):
        refuse_tool_host(url.replace("://", "://x."), [])


def test_a_server_elsewhere_has_to_be_listed_too(tmp_path: Path) -> None:
    with toolbox(tmp_path, {"tool": "{mcp: {url: 'http://example.com/mcp'}}"}) as tools:
        assert "name it under hosts" in tools.execute("tool {}")


# ---- beside the built-in tools ----


def test_own_and_built_in_tools_are_behind_one_execute(tmp_path: Path) -> None:
    with JoinedToolbox(toolbox(tmp_path, {"bell": "{command: [echo, ding]}"}), Toolbox()) as tools:
        assert tools.execute("bell {}") == "ding"
        assert tools.execute("calculator 3+4") == "7"
        assert tools.execute("other 1") == "error: unknown tool other"
