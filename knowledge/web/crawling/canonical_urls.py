"""Canonical URLs: one address and one document id for all spellings of a page's address. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

_TRACKING = re.compile(
    r"utm_\w+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|twclid|ttclid|yclid|igshid|mc_[ce]id|_hs(enc|mi)|mkt_tok"
    r"|_ga|_gl|s_cid|vero_id|oly_(anon|enc)_id|spm|scm|share_token",
    re.IGNORECASE,
)
_SESSION = re.compile(
    r"phpsessid|jsessionid|aspsessionid\w*|asp\.net_sessionid|cfid|cftoken|sid|sessid|session_?id", re.IGNORECASE
)
_PATH_SESSION = re.compile(r";jsessionid=[^/?#]*|\(S\([a-z0-9]{24}\)\)/?", re.IGNORECASE)
_INDEX = re.compile(r"(?:^|(?<=/))index\.(?:html?|php)$", re.IGNORECASE)
_FILE = re.compile(r"\.(?:[xs]?html?|php|aspx?|jsp|do|xml|md|txt|pdf)$", re.IGNORECASE)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_UNREADABLE = re.compile(r"[/?#%\\\ufffd]")
_UNESCAPED = "!$%&()*+,/:;=?@[]~-._"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """All pages below a URL."""

    origin: str
    """``scheme://host[:port]`` of requests."""
    hosts: frozenset[tuple[str, int | None]]
    """The site's hosts with their ports; None for the default port, of http and https alike."""
    prefix: str
    """The path of all pages, with a slash at its end."""

    @classmethod
    def from_url(cls, url: str) -> Site:
        """Return the site below a URL; for a file, the site below its folder.

        Raises:
            ValueError: it is not an http(s) URL.

        """
        parts = _split_url(url)
        if parts is None:
            raise ValueError("it is not an http:// or https:// address")
        scheme, host, port, path, _ = parts
        folder, _, name = path.rpartition("/")
        prefix = f"{folder}/" if not name or _FILE.search(name) else f"{path}/"
        authority = f"[{host}]" if ":" in host else host
        origin = f"{scheme}://{authority}" + (f":{port}" if port else "")
        return cls(origin, frozenset({(host, port)}), prefix)

    def normalize_link(self, link: str, base: str) -> str | None:
        """Return the canonical address of a link on the page ``base``, None if it leads out of the site."""
        try:
            parts = _split_url(urljoin(base, link.strip()))
        except ValueError:
            return None
        if parts is None:
            return None
        _, host, port, path, query = parts
        if (host, port) not in self.hosts or not f"{path.removesuffix('/')}/".startswith(self.prefix):
            return None
        return f"{self.origin}{path}" + (f"?{query}" if query else "")

    def document_id(self, address: str) -> str:
        """Return the id of a page, which is its path below the prefix; ``/`` for the prefix itself."""
        path, _, query = address.removeprefix(self.origin).partition("?")
        path = _INDEX.sub("", path).rstrip("/")
        name = _make_readable(path[len(self.prefix) :]) if len(path) > len(self.prefix) else ""
        sorted_query = "&".join(sorted(query.split("&"))) if query else ""
        return (name or "/") + (f"?{_make_readable(sorted_query)}" if sorted_query else "")


def build_page_key(url: str) -> str | None:
    """Return a key that all addresses of a page share, for comparisons only; None if it is not an http(s) URL."""
    parts = _split_url(url)
    if parts is None:
        return None
    _, host, port, path, query = parts
    name = _INDEX.sub("", path).rstrip("/")
    return f"{host.removeprefix('www.')}:{port or ''}{name}?{'&'.join(sorted(query.split('&')))}"


def _split_url(url: str) -> tuple[str, str, int | None, str, str] | None:
    """Return scheme, host, port (None for the default), path and query in their normal form."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").removesuffix(".")
    if scheme not in _PORTS or not host or parts.username is not None:
        return None
    if port == _PORTS[scheme]:
        port = None
    return scheme, host, port, _normalize_path(parts.path), _normalize_query(parts.query)


def _normalize_path(path: str) -> str:
    path = _normalize_escapes(_PATH_SESSION.sub("", path))
    segments: list[str] = []
    parts = path.split("/")[1:] or [""]
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "..":
            segments = segments[:-1]
        elif part != "." and (part or is_last):  # two slashes count as one
            segments.append(part)
            continue
        if is_last:
            segments.append("")
    return "/" + "/".join(segments)


def _normalize_query(query: str) -> str:
    parameters = [
        _normalize_escapes(part)
        for part in query.split("&")
        if part and not _TRACKING.fullmatch(name := part.partition("=")[0]) and not _SESSION.fullmatch(name)
    ]
    return "&".join(parameters)


def _normalize_escapes(text: str) -> str:
    """Escape the characters that must be escaped, and unescape all others."""
    plain = _ESCAPED.sub(lambda match: _unescape_if_unreserved(int(match[1], 16)), text.replace("\\", "%5C"))
    return quote(plain.encode("utf-8", "replace"), safe=_UNESCAPED)


def _unescape_if_unreserved(byte: int) -> str:
    return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"


def _make_readable(text: str) -> str:
    """Decode escapes where the result is readable text."""
    return re.sub(r"(?:%[0-9A-F]{2})+", lambda run: _decode_escapes(run[0]), text)


def _decode_escapes(escapes: str) -> str:
    text = unquote_to_bytes(escapes).decode("utf-8", "replace")
    return text if text.isprintable() and not _UNREADABLE.search(text) else escapes
