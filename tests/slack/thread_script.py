"""Sixty messages, thirty in English and thirty in Chinese, and whether each is meant for Kvasir.

A script is a list of steps: conversation, person, text, and whether Kvasir answers. The first step of a conversation
begins a thread; "direct" is the person's direct message. The bot restarts at ``RESTART``.
"""

from __future__ import annotations

from typing import NamedTuple

RESTART = 15
"""How many messages of each script come before the restart."""

CHANNELS = {"help": "#general", "keys": "#general", "lunch": "C0MPDM0001", "room": "C0MPDM0001", "direct": "@kvasir"}


class Step(NamedTuple):
    """One message."""

    conversation: str
    person: str
    text: str
    is_meant: bool


ENGLISH = [
    Step("help", "ada", "@Kvasir how many days of leave do I have?", True),
    Step("help", "ada", "and for part-timers?", True),
    Step("help", "ada", "thanks!", False),
    Step("help", "bo", "great :tada:", False),
    Step("help", "bo", "@Ada did you see the new form?", False),
    Step("help", "ada", "Yes, the one from March.", False),
    Step("help", "bo", "could you send it to me?", False),
    Step("help", "ada", "what is the limit for days that I carry over?", True),
    Step("help", "bo", "I think that is outdated.", False),
    Step("help", "bo", "does it expire?", True),
    Step("help", "ada", "I meant the Berlin office.", True),
    Step("help", "bo", "@oncall can somebody look at this?", False),
    Step("help", "ada", ":thumbsup:", False),
    Step("help", "bo", "Ada, can you forward this?", False),
    Step("help", "ada", "Kvasir, what about contractors?", True),
    Step("help", "ada", "and in Norway?", True),
    Step("help", "ada", "mute", False),
    Step("help", "bo", "how many days are left?", False),
    Step("help", "bo", "@Kvasir how many days are left?", True),
    Step("help", "ada", "and for interns?", False),
    Step("help", "ada", "@Kvasir unmute", False),
    Step("help", "ada", "and for interns?", True),
    Step("keys", "bo", "Who has the keys?", False),
    Step("keys", "ada", "Me.", False),
    Step("keys", "ada", "@Kvasir where are the spare keys?", True),
    Step("keys", "bo", "where is the reception?", True),
    Step("lunch", "ada", "lunch at 12?", False),
    Step("room", "chen", "@Kvasir how do I book a room?", True),
    Step("room", "ada", "for ten people?", True),
    Step("direct", "ada", "ok, and what about travel?", True),
]

CHINESE = [
    Step("help", "chen", "@Kvasir 年假有几天？", True),
    Step("help", "chen", "兼职员工呢？", True),
    Step("help", "chen", "谢谢！", False),
    Step("help", "bo", "好的", False),
    Step("help", "bo", "@Chen 你看过新表格吗？", False),
    Step("help", "chen", "看过，三月那份。", False),
    Step("help", "bo", "你能发给我吗？", False),
    Step("help", "chen", "未休的年假能结转几天？", True),
    Step("help", "bo", "我觉得这个已经过期。", False),
    Step("help", "bo", "什么时候过期？", True),
    Step("help", "chen", "我指的是柏林办公室。", True),
    Step("help", "bo", "@here 中午一起吃饭吗？", False),
    Step("help", "chen", "👍", False),
    Step("help", "bo", "Chen，请转发一下", False),
    Step("help", "chen", "Kvasir 承包商怎么算？", True),
    Step("help", "chen", "挪威呢？", True),
    Step("help", "chen", "静音", False),
    Step("help", "bo", "还剩几天？", False),
    Step("help", "bo", "@Kvasir 还剩几天？", True),
    Step("help", "chen", "实习生呢？", False),
    Step("help", "chen", "@Kvasir 取消静音", False),
    Step("help", "chen", "实习生呢？", True),
    Step("keys", "bo", "谁有钥匙？", False),
    Step("keys", "chen", "我有。", False),
    Step("keys", "chen", "@Kvasir 备用钥匙在哪里？", True),
    Step("keys", "bo", "前台在哪里？", True),
    Step("lunch", "chen", "中午吃什么？", False),
    Step("room", "chen", "@Kvasir 怎么订会议室？", True),
    Step("room", "ada", "十个人的呢？", True),
    Step("direct", "chen", "好，差旅怎么报销？", True),
]
