"""The buttons that share the answer to a private question, and what Kvasir says when a person presses one."""

from bot.messages.message import Message

SHARE = Message("Share in #{channel}", "分享到 #{channel}")
SHARE_IN_GROUP = Message("Share in the group message", "分享到群组私信")
ASK_THERE = Message("Ask in #{channel}", "在 #{channel} 中提问")
ASK_IN_GROUP = Message("Ask in the group message", "在群组私信中提问")

SHARES = Message("{person} shares a question and my answer of {date}:", "{person} 分享了一个问题和我在 {date} 的回答：")
ASKS = Message("{person} asks:", "{person} 提问：")

SHARED = Message("Your question and the answer are in {place} now.", "您的问题和回答已发到 {place}。")
ASKED = Message("Your question is in {place} now, and I answer it there.", "您的问题已发到 {place}，我会在那里回答。")
ALREADY_SHARED = Message("This question is in {place} already.", "这个问题已经发到 {place}。")
NOT_FOR_ALL = Message(
    "Not everybody in {place} may read all sources of this answer, or I cannot find that out, so I do not share it. "
    "I can answer the question there, from what everybody there may read.",
    "{place} 中并非所有人都可以查看此回答的全部来源，或者我无法确认，所以没有分享。"
    "我可以在那里根据所有人都可以查看的内容回答这个问题。",
)
GUIDELINES_ALONE = Message(
    "In {place}, I answer from guidelines alone, so I do not share this answer. I can answer the question there.",
    "我在 {place} 中只根据指南回答，因此没有分享此回答。我可以在那里回答这个问题。",
)
NOT_STORED = Message(
    "I do not store this answer, so I cannot share it. I can answer the question in {place}, from what everybody there "
    "may read.",
    "我没有保存此回答，因此无法分享。我可以在 {place} 中根据所有人都可以查看的内容回答这个问题。",
)
FROM_FILES = Message(
    "This answer uses a file or a message that came with your question, so I do not share it. Ask in {place}, and send "
    "the file with your question.",
    "此回答用到了随问题一起提供的文件或消息，因此我不分享它。请在 {place} 中提问，并附上文件。",
)
FROM_EARLIER = Message(
    "This answer belongs to an earlier private conversation, so I do not share it. Please ask in {place}.",
    "此回答属于之前的私下对话，因此我不分享它。请在 {place} 中提问。",
)
LIMITED = Message(
    "There are too many questions in this minute. Please try again in a minute.",
    "这一分钟内的问题太多。请一分钟后再试。",
)
NOT_THERE = Message(
    "I cannot see that you are in {place}, so I post nothing for you there.",
    "我无法确认您在 {place} 中，因此没有替您发送。",
)
