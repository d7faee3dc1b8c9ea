"""Requests as tools: the arguments as query (GET, DELETE) or JSON body, to this machine and to listed hosts only."""

from __future__ import annotations

import ipaddress
import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from forge.errors import ForgeError
from forge.tools.declared.schema import HttpRun

MOST_BODY = 1 << 16  # bytes read of an answer; a result has 200 characters
_BLOCK = 1 << 12


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A host that was allowed must not send us to one that was not."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


# Without proxies: what is said to this machine stays on it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def refuse_tool_host(url: str, hosts: Collection[str]) -> None:
    """Refuse an address that is neither on this machine nor on a listed host (`HOST`, or `HOST:PORT` for one port).

    Raises:
        ForgeError: names the host, and how to allow it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ForgeError(f"{url[:60]} is no address ({error})") from error
    plain = f"[{host}]" if ":" in host else host
    if parts.netloc.lower() not in (plain, f"{plain}:{port}"):  # `x.[::1]` and `name@host`: readers of URLs differ
        raise ForgeError(f"{url[:60]}: an address begins with http://HOST or http://HOST:PORT")
    if host == "localhost" or _is_loopback_address(host):
        return
    listed = {entry.lower().strip("[]") for entry in hosts}
    if host not in listed and f"{host}:{port}" not in listed and f"[{host}]:{port}" not in hosts:
        raise ForgeError(f"{host} is not this machine; name it under hosts: in the tools file to allow it")


def _is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def send_tool_request(run: HttpRun, arguments: Mapping[str, Any], hosts: Collection[str], timeout_s: float) -> str:
    """The body of the answer to a request, at most 64 KiB of it; `ok` if it is empty.

    Args:
        run: method and address; a query in the address stays.
        arguments: of the call.
        hosts: that may be asked besides this machine.
        timeout_s: seconds for all of it.

    Raises:
        ForgeError: the host is not allowed or does not answer in time, or the status is a redirect or an error.
    """
    refuse_tool_host(run.url, hosts)
    url, body = run.url, None
    if run.method in ("GET", "DELETE"):
        fields = urlencode({key: _query_value(value) for key, value in arguments.items()}, doseq=True)
        address, mark, fragment = url.partition("#")
        url = address + (("&" if "?" in address else "?") + fields if fields else "") + mark + fragment
    else:
        body = json.dumps(dict(arguments), ensure_ascii=False).encode("utf-8", "replace")
    headers = {"Accept": "*/*", "User-Agent": "agent-forge"} | ({"Content-Type": "application/json"} if body else {})
    deadline = time.monotonic() + timeout_s
    try:
        request = urllib.request.Request(url, body, headers, method=run.method)
        with _OPENER.open(request, timeout=timeout_s) as answer:
            return _read_tool_answer(answer, deadline, timeout_s).strip() or "ok"
    except urllib.error.HTTPError as error:
        with error:
            text = _read_tool_answer(error, deadline, timeout_s)
        raise ForgeError(f"{error.code} {error.reason}: {text}".strip(": ")) from error
    except TimeoutError as error:
        raise ForgeError(f"no answer within {timeout_s:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ForgeError(f"no answer within {timeout_s:g} s") from error
        raise ForgeError(f"the request failed: {getattr(reason, 'strerror', None) or reason}") from error


def _query_value(value: Any) -> Any:
    """True and false as JSON writes them, in lists too."""
    if isinstance(value, list):
        return [_query_value(item) for item in value]
    return json.dumps(value) if isinstance(value, bool) else value


def _read_tool_answer(answer: Any, deadline: float, timeout_s: float) -> str:
    """The start of a body, in blocks as they come: a server that sends a byte now and then must not keep us."""
    data = b""
    while len(data) < MOST_BODY and (block := answer.read1(_BLOCK)):
        data += block
        if time.monotonic() > deadline:
            raise ForgeError(f"no whole answer within {timeout_s:g} s")
    return data[:MOST_BODY].decode("utf-8", "replace")
