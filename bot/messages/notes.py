"""Texts of notes of visits."""

from bot.messages.message import Message

NO_TRANSCRIPT = Message(
    "This is no transcript: no line begins with a speaker. Send a text file (.txt) with lines such as “[doctor] How are"
    " you?” or “Doctor: How are you?”.",
    "这不是对话记录：没有以说话人开头的行。请使用文本文件（.txt），每行写成“[医生] 您好吗？”或“医生：您好吗？”。",
)
LINE_TOO_LONG = Message(
    "Line {n} of the transcript has more than {characters} characters. Begin a line for each speaker.",
    "对话记录的第 {n} 行超过 {characters} 个字符。请让每位说话人另起一行。",
)
CHECK = Message(
    "The note is a draft. Read it against the lines of the conversation, correct it and sign it.",
    "这份记录是草稿，请对照对话的各行核对、修改并签字。",
)
NOTHING_SAID = Message(
    "No sentence about this has support in the conversation.",
    "对话中没有可支持本节内容的句子。",
)
LEFT_OUT = Message(
    "{count} sentences without support in the conversation were left out.",
    "已略去 {count} 个在对话中没有依据的句子。",
    en_one="1 sentence without support in the conversation was left out.",
)
