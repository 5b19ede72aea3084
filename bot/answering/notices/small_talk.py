"""Thanks, greetings and other messages that ask for nothing: one fixed line answers them, or none. Pure."""

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
_ACKNOWLEDGEMENT = re.compile(
    r"thats|its|yes|yep|yeah|yup|no|nope|sure|fine|right|agreed|noted|done|lol|haha+|wow|np|nvm|k|kk|alright|all good"
    r"|no problem|no worries|never mind|sounds good|good(?: to know)?|makes sense|will do|my bad"
    r"|sorry|welcome|see you|bye|later"
    r"|好+|好吧|行|可以|嗯+|对|是|哈+|没问题|没事|不客气|算了|再见|原来如此|懂了|了解|抱歉|不好意思|厉害|棒|赞"
)
_EMOJI_NAME = re.compile(r":[a-z0-9_+-]+:")
_LONGEST_CHARS = 80
_PARTS = ((_THANKS, answers.THANKS), (_GREETING, answers.GREETING), (_FILLING, None), (_ACKNOWLEDGEMENT, None))


def choose_small_talk_reply(text: str) -> Message | None:
    """Return what answers a message that is thanks or a greeting and nothing else; None for every other message."""
    replies = _find_replies(text) or set()
    return answers.THANKS if answers.THANKS in replies else next(iter(replies), None)


def is_small_talk(text: str) -> bool:
    """Return whether a message asks for nothing: thanks, greetings, acknowledgements, emoji, or no words at all."""
    return _find_replies(text) is not None


def _find_replies(text: str) -> set[Message] | None:
    """Return the replies to the parts of small talk, or None for a message that is more than that."""
    bare = " ".join(re.findall(r"\w+", _EMOJI_NAME.sub(" ", text.lower().replace("'", "").replace("’", ""))))
    if len(bare) > _LONGEST_CHARS or "?" in text or "？" in text:
        return None
    replies: set[Message] = set()
    while bare:
        for pattern, answer in _PARTS:
            if (match := pattern.match(bare)) and not _goes_on(bare, match.end()):
                bare = bare[match.end() :].lstrip()
                replies |= {answer} if answer else set()
                break
        else:
            return None
    return replies


def _goes_on(text: str, end: int) -> bool:
    """Tell whether a Latin word goes on behind a match."""
    return text[end - 1].isascii() and text[end : end + 1].isascii() and text[end : end + 1].isalnum()
