"""Decides which calls Slack would accept: within its rate limits, and of methods that it does not refuse.

Slack counts calls in a sliding window. Each window here is a little longer and allows a little less. Calls are
delayed on their way, and commands and buttons make calls of their own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.http.loopback import is_loopback
from bot.slack.wire.errors import SlackRefused
from knowledge.latest_entries import LatestEntries

_MINUTE_S = 62.0
STREAM_LIFETIME_S = 300.0
"""Slack ends a stream about this long after its start."""
_SESSION_LIFETIME_S = 1_000.0
"""This is longer than the deadline of an answer."""
_LOCAL_SCALE = 20
"""The workspace on this machine allows so many times Slack's calls."""
_MAX_CHANNELS = 2_000

_FIRST_GAP_S, _GAP_GROWTH, _MAX_GAP_S = 1.0, 1.6, 15.0
"""An answer of 600 tokens at 15 tokens a second takes 8 calls for its text; a faster one takes fewer."""
_PLAN_GAP_S = 2.5

_READS = {
    "conversations.info": 48,
    "conversations.members": 96,
    "conversations.replies": 48,
    "users.info": 96,
}
"""These methods have tier 3 or 4."""

_MISSING_CODES = {"unknown_method", "method_deprecated"}
_TEMPORARY_CODES = {"feature_not_enabled", "not_allowed", "team_not_found", "user_not_found", "missing_scope"}
_REFUSAL_S = 600.0
_MAX_PEOPLE = 10_000

Now = Callable[[], float]


@dataclass(slots=True)
class WindowShare:
    """Among how many processes of one workspace the windows of Slack's limits are divided."""

    processes: int = 1

    def divide(self, calls: int, per_s: float, least: int) -> tuple[int, float]:
        """Return the calls of one process, and the seconds of their window.

        With fewer than ``least`` calls for each process, these have ``least`` in a longer window.
        """
        share = max(least, calls // self.processes)
        return share, per_s * max(1.0, share * self.processes / calls)


class CallWindow:
    """Allows ``calls`` in any ``per_s`` seconds, or a share of them."""

    def __init__(
        self,
        calls: int,
        per_s: float = _MINUTE_S,
        now: Now = time.monotonic,
        share: WindowShare | None = None,
        least: int = 1,
    ) -> None:
        """``least`` is the smallest share, which several processes may use at the same time."""
        self._limits = calls, per_s, least
        self._share = share or WindowShare()
        self._now = now
        self._calls: deque[float] = deque(maxlen=calls)

    def reserve_call(self) -> float:
        """Reserve the next call and return how long to wait before it, in seconds."""
        now = self._now()
        limit, per_s = self._share.divide(*self._limits)
        at = max(now, self._calls[-limit] + per_s) if len(self._calls) >= limit else now
        self._calls.append(at)
        return at - now

    def try_reserve(self) -> bool:
        """Reserve a call that may be made now; return False if there is none."""
        if not self.has_room():
            return False
        self._calls.append(self._now())
        return True

    def has_room(self, share: float = 0.0) -> bool:
        """Return whether a call may be made now, and more than a ``share`` of all calls is left."""
        limit, per_s = self._share.divide(*self._limits)
        index = len(self._calls) - max(1, int(limit * (1.0 - share)))
        return index < 0 or self._calls[index] + per_s <= self._now()


class PairWindow:
    """Allows ``calls`` beginnings and as many ends in any ``per_s`` seconds; an end never waits.

    At most ``calls`` are open or ended less than ``per_s`` ago. So the ends in a window are never more than ``calls``:
    when the last of them began, the others were open or had just ended.
    """

    def __init__(
        self,
        calls: int,
        lifetime_s: float,
        per_s: float = _MINUTE_S,
        now: Now = time.monotonic,
        share: WindowShare | None = None,
    ) -> None:
        """``lifetime_s`` is the time after which Slack ends what nobody ended."""
        self._limits = calls, per_s, 1
        self._lifetime_s = lifetime_s
        self._share = share or WindowShare()
        self._now = now
        self._open: dict[object, float] = {}
        """When each began, the oldest first."""
        self._begun: deque[float] = deque()
        self._ended: deque[float] = deque()

    def allows_begin(self) -> bool:
        """Return whether something may begin now."""
        now = self._now()
        while self._open and next(iter(self._open.values())) <= now - self._lifetime_s:
            self._open.pop(next(iter(self._open)))
        calls, per_s = self._share.divide(*self._limits)
        since = now - per_s
        for times in (self._begun, self._ended):
            while times and times[0] <= since:
                times.popleft()
        return len(self._begun) < calls and len(self._open) + len(self._ended) < calls

    def begin(self, token: object) -> bool:
        """Begin something; return False if that is not allowed now."""
        if not self.allows_begin():
            return False
        self._begun.append(self._now())
        self._open[token] = self._begun[-1]
        return True

    def end(self, token: object) -> None:
        """End what began, once."""
        if self._open.pop(token, None) is not None:
            self._ended.append(self._now())


class MessagePace:
    """Spaces the calls of a message: its text begins at once, and the gaps grow as it gets longer."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._called_at = self._text_at = float("-inf")
        self._gap_s = 0.0

    def note_call(self, *, is_text: bool) -> None:
        """Note a call; ``is_text`` says whether it had text."""
        self._called_at = self._now()
        if is_text:
            self._text_at = self._called_at
            self._gap_s = min(max(_FIRST_GAP_S, self._gap_s * _GAP_GROWTH), _MAX_GAP_S)

    def get_wait_s(self, *, is_text: bool) -> float:
        """Return how long until the next call with text, or for the plan alone, in seconds."""
        due_at = self._text_at + self._gap_s if is_text else self._called_at + _PLAN_GAP_S
        return max(0.0, due_at - self._now())


class RateLimits:
    """The windows of Slack's tiers for the methods of answers."""

    def __init__(self, scale: int = 1, now: Now = time.monotonic) -> None:
        """``scale`` is 1 for Slack itself."""
        self._scale = scale
        self._now = now
        self._share = share = WindowShare()
        self.appends = CallWindow(95 * scale, now=now, share=share)
        """``chat.appendStream``, tier 4."""
        self.updates = CallWindow(45 * scale, now=now, share=share)
        """``chat.update``, tier 3."""
        self.streams = PairWindow(19 * scale, STREAM_LIFETIME_S, now=now, share=share)
        """``chat.startStream`` and ``chat.stopStream``, tier 2."""
        self.sessions = PairWindow(24 * scale, _SESSION_LIFETIME_S, now=now, share=share)
        """``agents.sessions.setStatus``, tier 3: once for the beginning and once for the end of an answer."""
        self.words = CallWindow(44 * scale, now=now, share=share)
        """``assistant.threads.setStatus``, tier 3."""
        self.reads: Mapping[str, Callable[[], float]] = {
            method: CallWindow(calls * scale, now=now, share=share).reserve_call for method, calls in _READS.items()
        }
        """Reserve calls that find out who sees an answer, and read threads; return how long to wait, in seconds."""
        self._posts: LatestEntries[str, CallWindow] = LatestEntries(_MAX_CHANNELS)

    def divide_by(self, processes: int) -> None:
        """Let this process use its share of the windows, because so many processes call Slack for one workspace."""
        self._share.processes = processes

    def reserve_post(self, channel: str) -> float:
        """Reserve a ``chat.postMessage``: one a second in each channel, with short bursts."""
        burst = 4 * self._scale
        window = self._posts.get(channel) or CallWindow(burst, 5.2, self._now, self._share, burst)
        self._posts[channel] = window
        return window.reserve_call()


class RefusedMethods:
    """Says whether a method is worth a call for a person."""

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now = now
        self._missing: set[str] = set()
        self._refused_until: LatestEntries[tuple[str, str], float] = LatestEntries(_MAX_PEOPLE)
        """The times by method and user, the oldest first. A user's id names the workspace, too."""

    def allows_method(self, method: str, user: str) -> bool:
        """Return whether Slack has the method, and has not refused it to this person lately."""
        return method not in self._missing and self._refused_until.get((method, user), 0.0) <= self._now()

    def note_refusal(self, method: str, user: str, error: SlackRefused) -> None:
        """Remember a refusal if the next call would be refused, too."""
        if error.code in _MISSING_CODES:
            self._missing.add(method)
        elif error.code in _TEMPORARY_CODES:
            self._refused_until[method, user] = self._now() + _REFUSAL_S


def choose_rate_limits(api_url: str | None) -> RateLimits:
    """Return Slack's limits, or those of a workspace on this machine."""
    return RateLimits(_LOCAL_SCALE if is_loopback(api_url or "") else 1)
