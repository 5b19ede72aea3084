"""What the asker learns if Slack does not let Kvasir post an answer."""

from __future__ import annotations

from bot.messages.message import Message

UNDELIVERED = Message("I cannot answer your question {place}: {reason}", "我无法在{place}回答您的问题：{reason}")
CHANNEL = Message("in <#{channel}>", " <#{channel}> 中")
HERE = Message("here", "这里")

_LIMITED = Message(
    "only some people may post there. Ask me in a direct message, or ask an administrator to let me post there.",
    "那里只允许部分成员发言。请在私信中问我，或请管理员允许我在那里发言。",
)
_NOT_MEMBER = Message(
    "I am not a member there. Invite me with `/invite`, or ask me in a direct message.",
    "我不是那里的成员。请用 `/invite` 邀请我，或在私信中问我。",
)
_ARCHIVED = Message(
    "it is archived. Ask me in another channel or in a direct message.",
    "那里已归档。请在其他频道或私信中问我。",
)
_THREAD_CLOSED = Message(
    "nobody may reply in that thread. Ask me in a new message, or in a direct message.",
    "那个消息列不允许回复。请另发一条消息，或在私信中问我。",
)
_MESSAGE_GONE = Message(
    "the message was deleted while I answered. Ask again if you still need the answer.",
    "我回答期间，消息已被删除。如果仍需要回答，请再问一次。",
)
_REFUSED = Message(
    "Slack refuses my message ({code}). Ask me in a direct message, and show this code to an administrator.",
    "Slack 拒绝了我的消息（{code}）。请在私信中问我，并把这个代码告诉管理员。",
)
_MISSING_SCOPE = Message(
    "the Slack app lacks a permission. Show this to an administrator: `kvasir doctor` names it.",
    "Slack 应用缺少一项权限。请告诉管理员：`kvasir doctor` 会列出它。",
)
_REASONS = {
    "restricted_action": _LIMITED,
    "restricted_action_read_only_channel": _LIMITED,
    "restricted_action_thread_only_channel": _LIMITED,
    "restricted_action_non_threadable_channel": _LIMITED,
    "cant_post_in_channel": _LIMITED,
    "no_permission": _LIMITED,
    "not_in_channel": _NOT_MEMBER,
    "user_not_in_channel": _NOT_MEMBER,
    "channel_not_found": _NOT_MEMBER,
    "is_archived": _ARCHIVED,
    "is_inactive": _ARCHIVED,
    "restricted_action_thread_locked": _THREAD_CLOSED,
    "cannot_reply_to_message": _THREAD_CLOSED,
    "missing_scope": _MISSING_SCOPE,
    "message_not_found": _MESSAGE_GONE,
    "thread_not_found": _MESSAGE_GONE,
}


def explain_refused_post(code: str, channel: str) -> Message:
    """Return why there is no answer in a channel, by Slack's code, and the next step; it is mrkdwn."""
    place = HERE if channel.startswith("D") else CHANNEL.fill(channel=channel)
    return UNDELIVERED.fill(place=place, reason=_REASONS.get(code, _REFUSED.fill(code=code)))
