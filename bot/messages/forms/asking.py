"""Questions that are asked by the command, a shortcut or a modal."""

from bot.messages.message import Message

ASK_DESCRIPTION = Message("Ask a question; only you see the answer", "提问，只有您能看到回答")
SHORTCUT_DESCRIPTION = Message("Ask a question; the answer comes as a direct message", "提问，回答会发到私信中")
ASK_USAGE = Message(
    "Type your question after the command: `/ask How many days of leave do we have?`",
    "请在命令后面写问题：`/ask 我们有多少天年假？`",
)
YOU_ASKED = Message("You asked:", "您的问题：")
ANSWERING_PRIVATELY = Message("I answer you in {place}.", "我会在{place}中回答您。")
DIRECT_MESSAGES = Message("our direct messages", "我们的私信")

TITLE = Message("Ask Kvasir", "向 Kvasir 提问")
QUESTION = Message("Your question", "您的问题")
QUESTION_HINT = Message("Only you see the answer, as a direct message.", "只有您能看到回答，它会发到私信中。")
ABOUT_DESCRIPTION = Message(
    "Ask about a message or summarise its thread; only you see the answer",
    "就一条消息提问或总结其消息列，只有您能看到回答",
)
YOU_ASKED_ABOUT = Message("You asked about {place}:", "您就{place}提问：")
THIS_MESSAGE = Message("this message", "这条消息")
NO_TEXT = Message("(no text)", "（没有文字）")
THREAD = Message("Its thread", "所在的消息列")
SUMMARISE = Message("Summarise this thread", "总结此消息列")
SUMMARISE_QUESTION = Message("Summarise this thread.", "请总结这个消息列。")
QUESTION_MISSING = Message("Please write a question.", "请写下问题。")
ASK = Message("Ask", "提问")
CANCEL = Message("Cancel", "取消")
