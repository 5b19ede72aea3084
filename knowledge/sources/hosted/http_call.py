"""A call to a hosted service, and how its addresses are built and checked. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from yarl import URL

from knowledge.sources.hosted.json_form import JsonObject


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request. Every call may be repeated: the POSTs of these services only read."""

    path: str
    """Relative to the service's address; its parts are percent-encoded (``quote_part``)."""
    params: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    """A call with a body is a POST."""
    media_type: str = "application/json"
    """The media type of the body."""

    @classmethod
    def get(cls, path: str, **params: str | int) -> ApiCall:
        """Return a GET call."""
        return cls(path, tuple((name, str(value)) for name, value in params.items()))

    @classmethod
    def post(cls, path: str, body: JsonObject) -> ApiCall:
        """Return a POST call with a JSON body."""
        return cls(path, (), json.dumps(body, sort_keys=True))

    @classmethod
    def post_form(cls, path: str, **values: str) -> ApiCall:
        """Return a POST call with a form as its body."""
        return cls(path, (), urlencode(values), "application/x-www-form-urlencoded")

    def with_params(self, **params: str | int) -> ApiCall:
        """Return the same call with some parameters replaced."""
        return replace(self, params=tuple({**dict(self.params), **ApiCall.get("", **params).params_dict()}.items()))

    def with_body(self, **values: object) -> ApiCall:
        """Return the same POST with some members of its body replaced."""
        return replace(self, body=json.dumps({**json.loads(self.body or "{}"), **values}, sort_keys=True))

    def params_dict(self) -> dict[str, str]:
        """Return the parameters by name."""
        return dict(self.params)

    def follow_link(self, link: str) -> ApiCall:
        """Return the call for the page that a link names: the same path with the link's parameters."""
        return ApiCall(self.path, tuple(parse_qsl(urlsplit(link).query)), self.body)


def quote_part(name: str) -> str:
    """Return a name percent-encoded as one part of a path."""
    return quote(name, safe="")


def quote_link(address: str) -> str:
    """Return an address from a service so that any text can hold it: ASCII, without quotes, spaces or brackets."""
    return quote(address, safe="%/:?#&=+,;@~!$*()-._")


def parse_secure_url(address: str) -> URL:
    """Return a service's address as a URL.

    Raises:
        ValueError: credentials may not be sent there, as it is not https (http is allowed for this machine only).

    """
    url = URL(address.rstrip("/"))
    local = url.host in {"127.0.0.1", "::1", "localhost"}
    if url.scheme not in ({"http", "https"} if local else {"https"}) or not url.host:
        raise ValueError("it does not begin with https://")
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("it holds more than a host and a path")
    return url
