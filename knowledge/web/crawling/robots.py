"""The rules of a robots.txt (RFC 9309), parsed by protego, and of robots' meta tags."""

from __future__ import annotations

from collections.abc import Iterable

from protego import Protego

ROBOT_NAME = "Kvasir"
"""The name by which robots.txt and robots' meta tags address Kvasir."""

MAX_READ_BYTES = 500 * 1024
"""The part of a robots.txt that is parsed; the rest is ignored."""
_MAX_DELAY_S = 60.0
_DIRECTIVES_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class RobotsRules:
    """The rules of one origin; an empty file allows everything."""

    def __init__(self, data: bytes = b"") -> None:
        text = data[:MAX_READ_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
        self._rules = Protego.parse(text)

    def allows_url(self, url: str) -> bool:
        """Return whether Kvasir may fetch a URL."""
        return self._rules.can_fetch(url, ROBOT_NAME)

    @property
    def delay_s(self) -> float:
        """Return the seconds that the site wants between two requests, at most a minute."""
        delay = self._rules.crawl_delay(ROBOT_NAME) or 0.0
        rate = self._rules.request_rate(ROBOT_NAME)
        if rate is not None and rate.requests:
            delay = max(delay, rate.seconds / rate.requests)
        return min(max(delay, 0.0), _MAX_DELAY_S)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """Return the URLs of sitemaps as they are written."""
        return tuple(self._rules.sitemaps)


def parse_robots_directives(tags: Iterable[str]) -> frozenset[str]:
    """Return the directives for Kvasir in ``X-Robots-Tag`` headers or robots' meta tags, in lower case.

    ``name: noindex`` applies to the robot of that name only.
    """
    directives: set[str] = set()
    for tag in tags:
        applies = True
        for part in tag.lower().split(","):
            name, colon, value = part.partition(":")
            if colon and name.strip() not in _DIRECTIVES_WITH_VALUES:
                applies = name.strip() in {ROBOT_NAME.lower(), "*", "robots"}
                part = value  # noqa: PLW2901 - the rest of it
            if applies:
                directives.add(part.strip())
    if "none" in directives:
        directives |= {"noindex", "nofollow"}
    return frozenset(directives)
