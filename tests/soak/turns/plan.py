"""Random plans: which questions are asked, and what goes wrong meanwhile. Equal seeds make equal plans. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

PEOPLE = ("ada", "bo", "chen", "mira")
ROOMS = ("#general", "#handbook", "@kvasir")
REPLICAS = 3
MOST_IDS = 11
"""So many ids of events may have the same message."""

_WRITES = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update")
_READS = ("conversations.replies", "conversations.info", "conversations.members", "users.info")
_STATUSES = ("agents.sessions.setStatus", "assistant.threads.setStatus")
_STREAM_CODES = ("message_not_in_streaming_state", "streaming_state_conflict", "msg_too_long", "invalid_arguments")
_CODES: Mapping[str, Sequence[str]] = {
    "chat.startStream": ("team_not_found", "feature_not_enabled", "invalid_arguments", "missing_recipient_team_id"),
    "chat.appendStream": _STREAM_CODES,
    "chat.stopStream": ("invalid_blocks", "invalid_metadata_format", *_STREAM_CODES),
    "chat.postMessage": ("invalid_blocks", "msg_too_long", "restricted_action"),
    "chat.update": ("invalid_blocks", "edit_window_closed", "cant_update_message", "msg_too_long"),
    "agents.sessions.setStatus": ("team_not_found", "invalid_arguments"),
    "assistant.threads.setStatus": ("not_allowed", "invalid_arguments"),
}
_GONE_CODES = ("channel_not_found", "is_archived", "not_in_channel", "restricted_action")
_DISCONNECTS = ("refresh_requested", "refresh_requested", "warning")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asks a question, in the thread of an earlier one if that is named."""

    number: int
    person: str
    room: str
    thread_of: int | None
    is_mention: bool


@dataclass(frozen=True, slots=True)
class Chat:
    """Somebody writes something in a channel that is not meant for Kvasir."""

    person: str
    room: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Something goes wrong in Slack: a body for the sandbox's ``faults``."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """A replica ends, by SIGKILL or by SIGTERM, and another one starts in its place."""

    replica: int
    how: Literal["kill", "stop"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing happens for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Roll:
    """All replicas are replaced one after the other by SIGTERM, while the next steps go on."""


Step = Ask | Chat | Fail | End | Pause | Roll


def make_plan(seed: int, questions: int, *, ends: int) -> list[Step]:
    """Return a plan with so many questions, and so many ends of replicas."""
    return _Planner(seed).plan(questions, ends)


def make_rolling_plan(seed: int, questions: int, every_s: float) -> list[Step]:
    """Return a plan in which nothing fails, but all replicas are replaced after a third of the questions."""
    choose = random.Random(seed)
    steps: list[Step] = []
    for number in range(questions):
        asked = Ask(number, choose.choice(PEOPLE), choose.choice(ROOMS), None, is_mention=True)
        steps += [*([Roll()] if number == questions // 3 else ()), asked, Pause(every_s)]
    return steps


def list_parts(number: int) -> list[str]:
    """Return the sentences of the answer to a question; a few answers need more than one message."""
    choose = random.Random(number)
    filler = " and so on" * 40 if choose.random() < 0.03 else ""
    return [f"q{number}p{part}{filler}. " for part in range(choose.choice((1, 1, 2, 3, 5, 8, 13, 40)))]


def choose_pause_s(number: int) -> float:
    """Return how long the engine takes for a sentence of an answer."""
    return random.Random(-number).choice((0.0, 0.0, 0.005, 0.02, 0.05))


class _Planner:
    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)
        self._asked: list[Ask] = []

    def plan(self, questions: int, ends: int) -> list[Step]:
        choose = self._choose
        endings = sorted(choose.randrange(questions // 10, questions) for _ in range(ends))
        steps: list[Step] = []
        while len(self._asked) < questions:
            if endings and endings[0] <= len(self._asked):
                endings.pop(0)
                steps += self._end_replicas()
            if choose.random() < 0.5:
                steps.append(Fail(self._make_fault()))
            for _ in range(min(choose.randint(1, 6), questions - len(self._asked))):
                steps.append(self._ask())
            if choose.random() < 0.1:
                steps.append(Chat(choose.choice(PEOPLE), choose.choice(ROOMS[:2])))
            steps.append(Pause(choose.choice((0.0, 0.05, 0.2, 0.4))))
        return steps

    def _ask(self) -> Ask:
        choose, number = self._choose, len(self._asked)
        # A question without a mention needs a thread in which Kvasir has answered the same person.
        root = choose.choice(self._asked[-30:]) if self._asked and choose.random() < 0.3 else None
        if root is None or root.thread_of is not None:
            question = Ask(number, choose.choice(PEOPLE), choose.choice(ROOMS), None, is_mention=True)
        else:
            person = root.person if root.room == "@kvasir" else choose.choice(PEOPLE)
            question = Ask(number, person, root.room, root.number, is_mention=choose.random() < 0.7)
        self._asked.append(question)
        return question

    def _end_replicas(self) -> list[Step]:
        choose = self._choose
        how: Literal["kill", "stop"] = "kill" if choose.random() < 0.7 else "stop"
        replicas = choose.sample(range(REPLICAS), 2) if choose.random() < 0.2 else [choose.randrange(REPLICAS)]
        during: list[Step] = [self._ask(), Pause(choose.choice((0.0, 0.02, 0.1)))] if choose.random() < 0.7 else []
        return [*during, *(End(replica, how) for replica in replicas)]

    def _make_fault(self) -> dict[str, Any]:
        choose = self._choose
        kind = choose.choice(
            ("duplicates", "duplicates", "order", "order", "acks", "disconnect", "limit", "server", "lost", "slow",
             "refusal", "refusal", "gone")
        )  # fmt: skip
        match kind:
            case "duplicates":
                return {"duplicate_events": choose.randrange(1, MOST_IDS)}
            case "order":
                return {"event_delays_s": [round(choose.random() * 0.6, 2) for _ in range(choose.randint(2, 8))]}
            case "acks":
                return {"drop_acks": choose.randint(1, 4)}
            case "disconnect":
                return {"disconnect": choose.choice(_DISCONNECTS)}
            case _:
                return {"calls": [self._fail_calls(kind)]}

    def _fail_calls(self, kind: str) -> dict[str, Any]:
        choose = self._choose
        fault: dict[str, Any] = {
            "method": choose.choice((*_WRITES, *_WRITES, *_READS, *_STATUSES)),
            "times": choose.randint(1, 3),
            "skip": choose.choice((0, 0, 0, 1, 2)),
        }
        match kind:
            case "limit":
                return fault | {"status": 429, "retry_after_s": 1}
            case "server":
                return fault | {"status": 503}
            case "lost":
                return fault | {"lose_reply": True, "times": 1}
            case "slow":
                return fault | {"hang_s": choose.choice((0.2, 0.8))}
            case "gone":
                method = choose.choice(("chat.startStream", "chat.postMessage", "chat.appendStream", "chat.stopStream"))
                return fault | {"method": method, "error": choose.choice(_GONE_CODES), "times": 1}
            case _:
                method = choose.choice(tuple(_CODES))
                return fault | {"method": method, "error": choose.choice(_CODES[method])}
