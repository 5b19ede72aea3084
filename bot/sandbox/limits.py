"""Slack's limits of sizes and rates, and the rate limiter.

The figures are those of Slack's documentation: https://docs.slack.dev/apis/web-api/rate-limits and
https://docs.slack.dev/reference/block-kit/blocks. There a tier's number of calls a minute is a lower bound; here it is
the limit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

BLOCKS_PER_MESSAGE = 50
BLOCKS_PER_VIEW = 100
VIEWS_PER_STACK = 3
VIEW_TITLE = 24
PRIVATE_METADATA = 3_000
SECTION_TEXT = 3_000
SECTION_FIELDS = 10
FIELD_TEXT = 2_000
HEADER_TEXT = 150
MARKDOWN_TEXT = 12_000
"""All markdown blocks of a message together have at most so many characters, and so has one ``markdown_text``."""
CONTEXT_ELEMENTS = 10
ACTIONS_ELEMENTS = 25
CONTEXT_ACTIONS_ELEMENTS = 5
BUTTON_TEXT = 75
BUTTON_VALUE = 2_000
BUTTON_URL = 3_000
ICON_VISIBLE_TO = 10
ID_LENGTH = 255
TABLE_ROWS = 100
TABLE_COLUMNS = 20
TABLE_CHARACTERS = 10_000
"""All cells of a table together have at most so many characters."""
TASK_TEXT = 256

POST_TEXT = 40_000
"""``chat.postMessage`` cuts a longer text here."""
UPDATE_TEXT = 4_000
STREAM_TEXT = 40_000
STREAM_TTL_S = 300.0
PROMPTS = 4
SESSION_TITLE = 200
UPLOAD_BYTES = 25_000_000
"""A person may attach files up to this size on the page. Slack allows 1 GB."""

SOCKETS_PER_APP = 10
ACK_DEADLINE_S = 3.0
TRIGGER_LIFETIME_S = 3.0
"""The app may open a modal for so long after an action of a person."""
RETRY_DELAYS_S = (0.0, 60.0, 300.0)
EVENT_LIFETIME_S = 3_600.0
"""An event waits so long for an app that is not connected at all."""
RESPONSE_URL_USES = 5
RESPONSE_URL_LIFETIME_S = 1_800.0
PAGE_LIMIT = 1_000

Pace = Literal["exact", "generous", "off"]
_FACTOR: dict[Pace, int] = {"exact": 1, "generous": 20}


@dataclass(frozen=True, slots=True)
class Tier:
    """How often a method may be called."""

    calls: int
    per_s: float = 60.0
    by_channel: bool = False
    """Whether calls are counted for each channel instead of for the workspace."""


TIER_2 = Tier(20)
TIER_3 = Tier(50)
TIER_4 = Tier(100)
POSTING = Tier(5, per_s=5.0, by_channel=True)
"""Slack allows one message a second and channel, and short bursts; the sandbox allows bursts of five."""
SPECIAL = Tier(600)
"""Methods without a tier (``auth.test``) may be called hundreds of times a minute."""


class RateLimiter:
    """Counts calls in a sliding window for each (method, scope)."""

    def __init__(self, now: Callable[[], float], pace: Pace = "generous") -> None:
        self._now = now
        self.pace: Pace = pace
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def count_call(self, method: str, tier: Tier, channel: str) -> int | None:
        """Count a call; return the seconds to wait if it exceeds the limit, else None."""
        if self.pace == "off":
            return None
        limit, window_s = tier.calls * _FACTOR[self.pace], tier.per_s
        calls = self._calls.setdefault((method, channel if tier.by_channel else ""), deque())
        now = self._now()
        while calls and calls[0] <= now - window_s:
            calls.popleft()
        if len(calls) >= limit:
            wait_s = max(1, math.ceil(calls[0] + window_s - now))
            return wait_s if calls[0] <= now + wait_s - window_s else wait_s + 1  # rounding of floats may fall short
        calls.append(now)
        return None
