"""What replaces the long parts of an answer: a canvas, or a file."""

from bot.messages.message import Message

WHOLE_IN_CANVAS = Message("The whole answer is in the canvas {link}.", "完整的回答在画布 {link} 中。")
WHOLE_IN_FILE = Message("The whole answer is in the file {link}.", "完整的回答在文件 {link} 中。")
CONTENTS = Message("Its parts:", "内容：")
CODE_IN_FILE = Message(
    "All {count} lines of this code are in the file {link}.", "这段代码共 {count} 行，全部在文件 {link} 中。"
)
TITLE = Message("Answer: {question}", "回答：{question}")
SOURCES = Message("Sources", "来源")
