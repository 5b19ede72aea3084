"""A call to a hosted service, and the addresses that go with it: pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from yarl import URL

from knowledge.sources.hosted.json_form import JsonObject


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request. Every call that is made here may be repeated: the posts of these services only look things up."""

    path: str
    """Relative to the service's address, its parts percent-encoded (``quote_part``)."""
    params: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    """With it, the call is a POST."""
    media_type: str = "application/json"
    """The body's."""

    @classmethod
    def get(cls, path: str, **params: str | int) -> ApiCall:
        """Return a GET."""
        return cls(path, tuple((name, str(value)) for name, value in params.items()))

    @classmethod
    def post(cls, path: str, body: JsonObject) -> ApiCall:
        """Return a POST of JSON."""
        return cls(path, (), json.dumps(body, sort_keys=True))

    @classmethod
    def post_form(cls, path: str, **values: str) -> ApiCall:
        """Return a POST of a form."""
        return cls(path, (), urlencode(values), "application/x-www-form-urlencoded")

    def with_params(self, **params: str | int) -> ApiCall:
        """Return the same call with other values for some parameters."""
        return replace(self, params=tuple({**dict(self.params), **ApiCall.get("", **params).params_dict()}.items()))

    def with_body(self, **values: object) -> ApiCall:
        """Return the same POST with other values for some members."""
        return replace(self, body=json.dumps({**json.loads(self.body or "{}"), **values}, sort_keys=True))

    def params_dict(self) -> dict[str, str]:
        """Return the parameters by name."""
        return dict(self.params)

    def follow_link(self, link: str) -> ApiCall:
        """Return the call for the next page, as a link names it: this path, and the link's parameters."""
        return ApiCall(self.path, tuple(parse_qsl(urlsplit(link).query)), self.body)


def quote_part(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")


def quote_link(address: str) -> str:
    """Return an address that a service gave as it may stand in any text: ASCII, without quotes, blanks or brackets."""
    return quote(address, safe="%/:?#&=+,;@~!$*()-._")


def parse_secure_url(address: str) -> URL:
    """Read the address of a service.

    Raises:
        ValueError: it is none that credentials may be sent to: not https (http is for this machine alone).

    """
    url = URL(address.rstrip("/"))
    local = url.host in {"127.0.0.1", "::1", "localhost"}
    if url.scheme not in ({"http", "https"} if local else {"https"}) or not url.host:
        raise ValueError("it does not begin with https://")
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("it holds more than a host and a path")
    return url
