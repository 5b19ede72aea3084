"""Judges what people see in Slack after a plan: each question has one whole answer, or one sentence that says why not.

This reads only the workspace's messages and calls, and the engine's count. It imports nothing of Kvasir.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.turns.plan import Ask, list_parts

Message = Mapping[str, Any]

MOST_GENERATIONS = 2
_PART = re.compile(r"q(\d+)p(\d+)(?: and so on)*\.")
_CITATION = re.compile(r"\[\\\[\d+\\\]\]\([^)]*\)")
_NOTICE = re.compile(r"_ℹ️[^\n]*_")
_TRANSIENT = {"ratelimited", "internal_error"}
LOOKUPS = ("conversations.info", "conversations.members", "users.info")
"""How Kvasir learns who reads an answer. While that is unknown, there is none."""
LOOKUP_TRIES = 3
_LOOKUP_S = 30.0


@dataclass
class TurnsOutcome:
    """What came of a plan."""

    questions: int = 0
    answered: int = 0
    refused: int = 0
    """Questions with a sentence in place of an answer or of its rest, because Slack refused calls or replicas died."""
    generations: int = 0
    lost: list[str] = field(default_factory=list)
    """Questions with a part of an answer."""
    doubled: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    """Questions without an answer or a sentence, and sentences without a reason."""
    excess: list[str] = field(default_factory=list)
    """Questions with more generations than allowed."""
    leftovers: list[str] = field(default_factory=list)
    """Answers to what was not meant, open turns and statuses, and processes that broke."""

    @property
    def failures(self) -> list[str]:
        """Return what must not happen."""
        kinds = ("lost", "doubled", "silent", "excess", "leftovers")
        return [f"{kind}: {one}" for kind in kinds for one in getattr(self, kind)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was sent."""

    ask: Ask
    channel: str
    ts: str
    root: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the workspace shows at the end."""

    messages: Mapping[str, Sequence[Message]]
    """By channel, without ephemeral ones."""
    private: Mapping[tuple[str, str], int]
    """How many sentences each person got privately: by person and channel."""
    calls: Sequence[Mapping[str, Any]]
    counts: Mapping[int, int]
    """The generations of each question."""
    ended_at: Sequence[float] = ()
    """When replicas ended. Each may have begun a generation that was not counted."""


def get_text(message: Message) -> str:
    """Return the text that a message shows: its Markdown blocks, or else its text."""
    blocks = [block["text"] for block in message.get("blocks") or () if block["type"] == "markdown"]
    return "\n".join(blocks) or str(message.get("text") or "")


def find_sentence(message: Message) -> str:
    """Return what a message says apart from parts of answers and notices."""
    text = _NOTICE.sub("", _CITATION.sub("", _PART.sub("", get_text(message))))
    return text.strip(" \n_…")


def read_parts(messages: Sequence[Message]) -> dict[int, list[int]]:
    """Return the parts of answers in messages, by the number of the question."""
    written: dict[int, list[int]] = {}
    for number, part in _PART.findall("".join(map(get_text, messages))):
        written.setdefault(int(number), []).append(int(part))
    return written


class Verdict:
    """Judges the threads one by one."""

    def __init__(self, asked: Sequence[Asked], seen: Seen) -> None:
        self._asked = asked
        self._seen = seen
        self._private = Counter(seen.private)
        self.outcome = TurnsOutcome(questions=len(asked), generations=sum(seen.counts.values()))

    def judge(self) -> TurnsOutcome:
        """Return the outcome."""
        threads: dict[tuple[str, str], list[Asked]] = {}
        for one in self._asked:
            threads.setdefault((one.channel, one.root), []).append(one)
            if self._seen.counts.get(one.ask.number, 0) > MOST_GENERATIONS:
                self.outcome.excess.append(f"q{one.ask.number}: {self._seen.counts[one.ask.number]} generations")
        for (channel, root), questions in threads.items():
            self._judge_thread(channel, root, questions)
        for channel, messages in self._seen.messages.items():
            for message in messages:
                is_reply = message.get("bot_id") and message["root"] != message["ts"]
                if is_reply and (channel, message["root"]) not in threads:
                    self.outcome.leftovers.append(f"not meant, but answered: {get_text(message)[:80]}")
        return self.outcome

    def _judge_thread(self, channel: str, root: str, questions: Sequence[Asked]) -> None:
        posted = [
            message
            for message in self._seen.messages.get(channel, ())
            if message["root"] == root and message.get("bot_id") and message["ts"] != root
        ]
        written = read_parts(posted)
        permanent = self._list_permanent()
        sentences = [sentence for sentence in map(find_sentence, posted) if sentence]
        places = {root, *(message["ts"] for message in posted)}
        for one in questions:
            number, refusals = one.ask.number, self._list_refusals(places, float(one.ts))
            parts, expected = written.get(number, []), list(range(len(list_parts(number))))
            if len(set(parts)) < len(parts):
                parts = read_parts([message for message in posted if message["ts"] not in permanent]).get(number, [])
            name = f"q{number} ({one.ask.room}, {one.ts}): {parts} of {len(expected)} parts; refused {sorted(refusals)}"
            if parts == expected:
                self.outcome.answered += 1
            elif len(set(parts)) < len(parts):
                self.outcome.doubled.append(name)
            elif sentences or self._take_private(one):
                self._judge_sentence(name, sentences.pop(0) if sentences else "privately", refusals, one)
            elif parts:
                self.outcome.lost.append(name)
            else:
                self.outcome.silent.append(name)
        self.outcome.doubled += [f"a sentence too many in {channel} {root}: {one[:100]}" for one in sentences]

    def _judge_sentence(self, name: str, sentence: str, refusals: Collection[str], one: Asked) -> None:
        self.outcome.refused += 1
        ends = sum(ended_at > float(one.ts) for ended_at in self._seen.ended_at)
        if not refusals and self._seen.counts.get(one.ask.number, 0) + ends < MOST_GENERATIONS:
            self.outcome.silent.append(f"{name}; without a reason: {sentence[:160]}")

    def _list_permanent(self) -> set[str]:
        """Return the messages that Slack refused to delete. The answer of a dead process may stay in them, too."""
        calls = (call for call in self._seen.calls if call["method"] == "chat.delete")
        return {str(call["args"].get("ts")) for call in calls if call["error"] and call["error"] not in _TRANSIENT}

    def _list_refusals(self, places: Collection[str], asked_at: float) -> set[str]:
        """Return the codes with which Slack refused calls in a thread, and the lookups that failed meanwhile."""
        failed = [call for call in self._seen.calls if call["error"]]
        refused = {
            f"{call['method']}={call['error']}"
            for call in failed
            if call["error"] not in _TRANSIENT
            and places & {str(call["args"].get("thread_ts", "")), str(call["args"].get("ts", ""))}
        }
        lookups = Counter(
            call["method"]
            for call in failed
            if call["method"] in LOOKUPS and 0 < call["at"] - asked_at < _LOOKUP_S and call["error"] != "ratelimited"
        )
        return refused | {f"{method} failed" for method, times in lookups.items() if times >= LOOKUP_TRIES}

    def _take_private(self, one: Asked) -> bool:
        """Return whether the asker got a sentence privately that no other question took."""
        for channel in (one.channel, "@kvasir"):
            if self._private[one.ask.person, channel] > 0:
                self._private[one.ask.person, channel] -= 1
                return True
        return False
