"""What Kvasir says about a thread that it leaves alone."""

from bot.messages.message import Message

MUTE_THREAD = Message("Mute in this thread", "在此消息列中静音")
MUTED = Message(
    "I leave this thread alone from now on. Mention me to ask one question, or write `@Kvasir unmute`.",
    "我不再参与此消息列。如需提问请提及我；输入“@Kvasir 取消静音”可恢复。",
)
UNMUTED = Message(
    "I answer follow-up questions in this thread again, without a mention.",
    "我会重新回答此消息列中的追问，无需提及我。",
)
MUTE_NEEDS_THREAD = Message(
    "I can be muted in a thread only. Write this in the thread that I should leave alone.",
    "静音只对消息列有效。请在希望我不再参与的消息列中输入。",
)
