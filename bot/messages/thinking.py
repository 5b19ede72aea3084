"""What Kvasir says about how long it thinks."""

from __future__ import annotations

from bot.messages.message import Message

NOT_THINKING = Message(
    "The model that answers now does not think, so this changes nothing until one that thinks is served.",
    "当前的模型不会思考，换成会思考的模型之后才有区别。",
)
NOT_LIMITED = Message(
    "The engine that answers now can leave thinking out, but not bound it: deep and normal are nearly alike there.",
    "当前的引擎只能关闭思考，不能限制长度：deep 与 normal 几乎没有区别。",
)
