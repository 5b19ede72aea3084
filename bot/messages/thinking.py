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
UNKNOWN_DEPTH = Message(
    "“{word}” is not a depth. Try /think deep, /think normal, /think off, or /think default.",
    "“{word}”无法识别。可用：/think deep、/think normal、/think off 或 /think default。",
)
PREFERRED = Message("For you: {description} ({depth}), everywhere.", "我为你作答时：{description}（{depth}）。")
DEFAULT = Message(
    "The default here: {description} ({depth}). To change it for you: /think deep | normal | off.",
    "你没有指定，这里的默认设置：{description}（{depth}）。可用 /think deep | normal | off 更改。",
)
DEPTHS = {
    "deep": Message("I think long before I answer", "深入思考后再回答"),
    "normal": Message("I think for a moment before I answer", "稍作思考后回答"),
    "off": Message("I answer at once, without thinking", "不思考，直接回答"),
}
"""By the word that sets the depth."""
