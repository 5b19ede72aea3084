"""Decides whether a message is meant for Kvasir. Pure; docs/using.md explains the rules to people.

A direct message and a mention are always meant for Kvasir. Without a mention only a message in a thread that Kvasir
takes part in can be. The rules look at the message itself and at who has written in the thread since Kvasir last
answered. They never guess from a topic, so a person can foresee them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from bot.answering.notices.small_talk import is_small_talk
from bot.slack.wire.events import MessageReceived, find_mentioned_users, make_readable
from bot.storage.turns.questions import QuestionMessage

SEVERAL = "*"
"""It stands in place of a talker for several people, or people who talk to each other."""

_CALLS_GROUP = re.compile(r"<!(?:subteam\^|here\b|channel\b|everyone\b)")
_CALLS_NAME = re.compile(r"@\w")
_VOCATIVE = re.compile(
    r"(?:(?:hi|hey|hello|dear|嗨)\s+)?([^\W\d_][\w.'-]*(?:\s[\w.'-]+){0,2})\s*[,:，：、]", re.IGNORECASE
)
_OPENER = re.compile(
    r"yes|no|ok|okay|so|also|and|but|well|hi|hello|hey|thanks|please|sorry|then|now|actually|kvasir"
    r"|好的?|那么?|请问|谢谢|对|是的|你好|您好"
)
"""Words before a comma that are no name."""
_SEQUENCE = re.compile(r"<[^<>]*>|```.*?```|`[^`]*`", re.DOTALL)
_NAMES_KVASIR = re.compile(r"\bkvasir\b", re.IGNORECASE)
_ASKS_EN = re.compile(
    r"(?:(?:and|but|so|or|also|ok|okay|then|now|please|hi|hey|hello|well|thanks)\b[\s,.!]*)*"
    r"(?:(?:for|in|on|at|by|with|to|since|until|from)\s+)?"
    r"(?:what|how|when|where|who|whom|whose|why|which|is|are|was|were|am|do|does|did|can|could|should|would|will|may"
    r"|must|has|have|(?:is|are|was|were|do|does|did|ca|could|should|would|wo|has|have)n['’]?t|(?:what|how|where|who)s"
    r"|any|anyone|anybody|i wonder|i was wondering|tell|show|explain|list|give|find|search|look up"
    r"|summari[sz]e|translate|compare|describe|name|define|write|draft|repeat|shorten)\b",
    re.IGNORECASE,
)
_ASKS_ZH = re.compile(
    r"什么|怎么|怎样|如何|为何|多少|多久|哪|谁|几|吗|呢|是否|能否|可否|有没有|是不是|能不能|可不可以|要不要|请|告诉|列出|总结|解释"
    r"|介绍|说明|翻译|比较|查一?下|帮|我想(?:知道|问|了解)"
)
_SAYS_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b|[你您]", re.IGNORECASE)
_COMMANDS = {"mute": "mute", "静音": "mute", "unmute": "unmute", "取消静音": "unmute"}


class Handling(StrEnum):
    """What Kvasir does with a message."""

    ANSWER = "answer"
    LEAVE = "leave"
    MUTE = "mute"
    UNMUTE = "unmute"


class AddressingReason(StrEnum):
    """Why Kvasir decides so; the log has it."""

    ADDRESSED = "addressed"
    COMMAND = "command"
    FOLLOW_UP = "follow-up"
    NO_THREAD = "no thread"
    MENTION_ONLY = "mention only"
    SILENT = "silent thread"
    MUTED = "muted"
    FOR_OTHERS = "for others"
    SMALL_TALK = "small talk"
    PEOPLE_TALK = "people talk"


@dataclass(frozen=True, slots=True)
class Decision:
    """What Kvasir does with a message, and why."""

    handling: Handling
    reason: AddressingReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFacts:
    """What Kvasir knows about a thread that it takes part in."""

    is_muted: bool = False
    is_silent: bool = False
    """Whether nobody has written for so long that a mention is needed again."""
    is_mention_only: bool = False
    has_asked: bool = False
    """Whether the author of the message has asked Kvasir in this thread."""
    talkers: str = ""
    """Who has written to other people since Kvasir's last question: nobody (""), one user's id, or ``SEVERAL``."""
    names: Collection[str] = ()
    """Names of other people in the thread; needed only if the message begins like one that calls a name."""


def decide_handling(received: MessageReceived, me: str, thread: ThreadFacts | None) -> Decision:
    """Return what Kvasir, whose user is ``me``, does with a message; ``thread`` is None if Kvasir is not in it."""
    message = received.message
    if message.is_direct:
        return Decision(Handling.ANSWER, AddressingReason.ADDRESSED)
    command = _read_command(message.text, me)
    if received.is_addressed:
        return command or Decision(Handling.ANSWER, AddressingReason.ADDRESSED)
    if thread is None or message.opens_thread:
        return _leave_alone(AddressingReason.NO_THREAD)
    if thread.is_mention_only or thread.is_silent:
        return _leave_alone(AddressingReason.MENTION_ONLY if thread.is_mention_only else AddressingReason.SILENT)
    return command or _decide_follow_up(message, me, thread)


def asks_everybody(message: QuestionMessage) -> bool:
    """Return whether the first message of a thread asks a question, and it is not for certain people.

    It mentions nobody, calls no name, and says no "you", which would mean the person who is addressed.
    """
    if message.is_direct or message.files or not message.opens_thread or is_small_talk(make_readable(message.text, {})):
        return False
    if _calls_others(message.text, "", ()) or find_vocative(message.text):
        return False
    words = make_readable(_SEQUENCE.sub(" ", message.text), {})
    return _asks_something(words) and not _SAYS_YOU.search(words)


def _decide_follow_up(message: QuestionMessage, me: str, thread: ThreadFacts) -> Decision:
    if thread.is_muted:
        return _leave_alone(AddressingReason.MUTED)
    if _calls_others(message.text, me, thread.names):
        return _leave_alone(AddressingReason.FOR_OTHERS)
    is_file_alone = bool(message.files) and not message.text
    if is_small_talk(make_readable(message.text, {})) and not is_file_alone:
        return _leave_alone(AddressingReason.SMALL_TALK)
    words = make_readable(_SEQUENCE.sub(" ", message.text), {})
    if not _NAMES_KVASIR.search(words) and _is_for_people(words, message.user, thread):
        return _leave_alone(AddressingReason.PEOPLE_TALK)
    return Decision(Handling.ANSWER, AddressingReason.FOLLOW_UP)


def _is_for_people(words: str, user: str, thread: ThreadFacts) -> bool:
    """Return whether a message goes on with what people write to each other, or comments without a question."""
    if thread.talkers not in {"", user}:
        return not _asks_something(words) or bool(_SAYS_YOU.search(words))
    return not thread.has_asked and not _asks_something(words)


def _asks_something(words: str) -> bool:
    """Return whether a message asks for something: by a question mark, a question word or a request."""
    return bool(re.search("[?？]", words) or _ASKS_EN.match(words.lstrip()) or _ASKS_ZH.search(words))


def _calls_others(text: str, me: str, names: Collection[str]) -> bool:
    """Return whether a message mentions a person, an app or a group, or begins with the name of a person."""
    if find_mentioned_users(text) - {me} or _CALLS_GROUP.search(text) or _CALLS_NAME.match(text.lstrip()):
        return True
    vocative = find_vocative(text)
    return bool(vocative) and any(vocative in {name.casefold(), *name.casefold().split()} for name in names)


def find_vocative(text: str) -> str:
    """Return what may be the name of the person whom a message calls ("Bo, can you look?"), in lower case, or ""."""
    match = _VOCATIVE.match(text.lstrip())
    words = match[1].casefold() if match else ""
    return "" if _OPENER.fullmatch(words) else words


def _read_command(text: str, me: str) -> Decision | None:
    """Return the decision on a message that is only a word such as ``mute``, None for every other message."""
    words = make_readable(text, {}, me=me).strip(" \t\n.!。！").casefold()
    handling = _COMMANDS.get(words)
    return Decision(Handling(handling), AddressingReason.COMMAND) if handling is not None else None


def _leave_alone(reason: AddressingReason) -> Decision:
    return Decision(Handling.LEAVE, reason)


def add_talker(talkers: str, user: str, reason: AddressingReason) -> str:
    """Return who talks in a thread after a message that Kvasir left alone for this reason."""
    match reason:
        case AddressingReason.FOR_OTHERS:
            return SEVERAL
        case AddressingReason.PEOPLE_TALK:
            return user if talkers in {"", user} else SEVERAL
        case _:
            return talkers
