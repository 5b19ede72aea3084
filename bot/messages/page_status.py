"""The problems of a source, as the page of the local workspace shows them."""

from __future__ import annotations

from bot.messages.message import Message

STALE = Message("{source} is stale: {age} old, {limit} at most.", "{source} 已过期：{age}前同步，上限 {limit}。")
PENDING_DELETIONS = Message(
    "{source}: {count} pending deletions, still in answers. kvasir sync --approve {source}",
    "{source}：{count} 篇文档待删除，仍用于回答。kvasir sync --approve {source}",
    "{source}: 1 pending deletion, still in answers. kvasir sync --approve {source}",
)
