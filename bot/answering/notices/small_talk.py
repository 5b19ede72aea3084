"""Thanks and greetings that ask for nothing: one fixed line answers them. Pure."""

from __future__ import annotations

import re

from bot.messages import answers
from bot.messages.message import Message

_THANKS = re.compile(
    r"(?:many )?thank(?:s|you)?(?: you)?|thx|ty|cheers|great|perfect|nice|awesome|excellent|cool|got it|i see"
    r"|understood|that (?:helps|helped|works|worked)"
    r"|谢谢|谢啦|多谢|感谢|辛苦了?|好的|收到|明白了?|知道了|太好了|不错"
)
_GREETING = re.compile(
    r"hi|hello|hey|good (?:morning|afternoon|evening|day)|你好|您好|大家好|嗨|哈喽|早上好|下午好|晚上好|早"
)
_FILLING = re.compile(
    r"so much|very much|a lot|again|for (?:the|your) (?:help|answer|quick answer|info|information)|for that|there|all"
    r"|everyone|everybody|kvasir|to you|ok|okay|oh|ah|well|then|now|you|very|much|really"
    r"|是的|你|您|了|啦|呀|啊|哦|嗯|的|那|非常|帮助|回答"
)
_EMOJI_NAME = re.compile(r":[a-z0-9_+-]+:")
_LONGEST_CHARS = 80


def choose_small_talk_reply(text: str) -> Message | None:
    """Return what answers a message that is thanks or a greeting and nothing else; None for every other message."""
    bare = " ".join(re.findall(r"\w+", _EMOJI_NAME.sub(" ", text.lower().replace("'", ""))))
    if not bare or len(bare) > _LONGEST_CHARS or "?" in text or "？" in text:
        return None
    replies: set[Message] = set()
    while bare:
        for pattern, answer in ((_THANKS, answers.THANKS), (_GREETING, answers.GREETING), (_FILLING, None)):
            if (match := pattern.match(bare)) and not _continues(bare, match.end()):
                bare = bare[match.end() :].lstrip()
                replies |= {answer} if answer else set()
                break
        else:
            return None
    return answers.THANKS if answers.THANKS in replies else next(iter(replies), None)


def _continues(text: str, end: int) -> bool:
    """Tell whether a Latin word goes on behind a match."""
    return text[end - 1].isascii() and text[end : end + 1].isascii() and text[end : end + 1].isalnum()
