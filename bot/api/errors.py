"""The errors of the API, in OpenAI's format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from aiohttp import web

from bot.errors import BotError
from bot.messages.errors import UNEXPECTED, describe_error
from bot.messages.message import render_message
from engine.errors import EngineError
from knowledge.errors import InvalidFilter, KnowledgeError, UnknownSource

_log = structlog.get_logger("kvasir.api")

_TYPES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ApiError(BotError):
    """A request that is refused. ``code`` is for programs, ``param`` names the field of the request."""

    def __init__(
        self, status: HTTPStatus, text: str, code: str, *, param: str | None = None, retry_after_s: int = 0
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def build_body(self) -> dict[str, object]:
        """Return the JSON of the error."""
        usual = "server_error" if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
        kind = _TYPES.get(self.status, usual)
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def build_response(self) -> web.Response:
        """Return the response."""
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return web.json_response(self.build_body(), status=self.status, headers=headers)


def translate_error(error: Exception) -> ApiError:
    """Return what a client reads about an error: no secret, no path and no text of another library. Log a bug."""
    match error:
        case ApiError():
            return error
        case InvalidFilter() | UnknownSource():
            return ApiError(HTTPStatus.BAD_REQUEST, describe_error(error), "invalid_filter")
        case TimeoutError():
            return ApiError(HTTPStatus.GATEWAY_TIMEOUT, describe_error(error), "timeout")
        case BotError() | KnowledgeError() | EngineError():
            return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, describe_error(error), "unavailable", retry_after_s=5)
        case web.HTTPException():
            return ApiError(
                HTTPStatus(error.status), f"{error.reason}. GET /openapi.json describes all requests.", "refused"
            )
    _log.error("request broke", exc_info=error)
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        render_message(UNEXPECTED.fill(kind=type(error).__name__), "en"),
        "internal_error",
    )


def encode_json(value: object) -> bytes:
    """Return a value as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
