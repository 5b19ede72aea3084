"""What a site asks of robots: robots.txt (RFC 9309), read by protego."""

from __future__ import annotations

from collections.abc import Iterable

from protego import Protego

ROBOT_NAME = "Kvasir"
"""The name by which robots.txt and robots' meta tags address this one."""

MAX_READ_BYTES = 500 * 1024
"""Of a robots.txt; what is beyond is ignored."""
_MAX_DELAY_S = 60.0


class RobotsRules:
    """One host's rules; an empty text allows everything."""

    def __init__(self, data: bytes = b"") -> None:
        text = data[:MAX_READ_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
        self._rules = Protego.parse(text)

    def allows(self, url: str) -> bool:
        """Say whether a URL may be fetched."""
        return self._rules.can_fetch(url, ROBOT_NAME)

    @property
    def delay_s(self) -> float:
        """Return the seconds that the host wants between two requests, at most a minute."""
        delay = self._rules.crawl_delay(ROBOT_NAME) or 0.0
        rate = self._rules.request_rate(ROBOT_NAME)
        if rate is not None and rate.requests:
            delay = max(delay, rate.seconds / rate.requests)
        return min(max(delay, 0.0), _MAX_DELAY_S)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """Return the URLs of sitemaps, as they are written."""
        return tuple(self._rules.sitemaps)


def parse_robots_directives(tags: Iterable[str]) -> frozenset[str]:
    """Return what ``X-Robots-Tag`` headers or robots' meta tags ask of this robot, in lower case.

    ``name: noindex`` is meant for the robot of that name alone.
    """
    asked: set[str] = set()
    for tag in tags:
        ours = True
        for part in tag.lower().split(","):
            name, colon, value = part.partition(":")
            if colon and name.strip() not in _WITH_VALUES:
                ours = name.strip() in {ROBOT_NAME.lower(), "*", "robots"}
                part = value  # noqa: PLW2901 - the rest of it
            if ours:
                asked.add(part.strip())
    if "none" in asked:
        asked |= {"noindex", "nofollow"}
    return frozenset(asked)


_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
