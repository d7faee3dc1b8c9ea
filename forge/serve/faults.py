"""Faults of a request, in the form that OpenAI's API gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from forge.errors import ForgeError, printable

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_RETRY_SECONDS = 1
_FORMS = ("str", "int")  # a place in the body names fields, numbers, and which form of a value was tried


class ApiError(HTTPException):
    """A request that is refused.

    Args:
        message: one line that says what is wrong.
        status: of HTTP.
        param: the field that is at fault, as `messages[2].role`.
        code: OpenAI's word for the fault, where it has one.
    """

    def __init__(self, message: str, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(status, printable(" ".join(message.split())))
        self.param, self.code = param, code

    def body(self) -> dict[str, Any]:
        """What is answered."""
        kind = _KINDS.get(self.status_code, "invalid_request_error" if self.status_code < 500 else "server_error")
        return {"error": {"message": self.detail, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer over HTTP."""
        later = {"Retry-After": str(_RETRY_SECONDS)} if self.status_code == 429 else None
        return JSONResponse(self.body(), self.status_code, headers=later)


def api_error_of(fault: Exception) -> ApiError:
    """Any fault as one of the API. What is no fault of the request tells its kind and nothing else."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, ForgeError):
        return ApiError(str(fault))
    if isinstance(fault, RequestValidationError):
        return _error_of_invalid_request(fault.errors())
    if isinstance(fault, HTTPException):
        found = {404: "there is nothing at this address", 405: "this address takes another method"}
        return ApiError(found.get(fault.status_code, str(fault.detail)), fault.status_code)
    return ApiError(f"a fault of the server ({type(fault).__name__})", 500)


async def answer_api_fault(request: Request, fault: Exception) -> JSONResponse:
    """An exception handler of the application."""
    return api_error_of(fault).response()


def _error_of_invalid_request(faults: Sequence[Any]) -> ApiError:
    # Where a value may have several forms, each of them has its fault; the deepest is that of the form which was meant.
    fault = max(faults, key=lambda found: len(found["loc"]))
    if fault["type"] == "json_invalid":
        return ApiError(f"the body is not JSON ({fault['ctx']['error']})")
    param = ""
    for part in fault["loc"][1:]:  # the first says that it is of the body
        if isinstance(part, int):
            param += f"[{part}]"
        elif part.replace("_", "").isalpha() and part.islower() and part not in _FORMS:
            param += f".{part}" if param else part
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    return ApiError(f"{param}: {message}" if param else f"the body: {message}", param=param or None)
