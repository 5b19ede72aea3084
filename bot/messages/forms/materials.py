"""What Kvasir says about files and messages that come with a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message

PAGES: Final[Mapping[str, Message]] = {
    "pdf": Message("{title}, page {page}", "{title}，第 {page} 页"),
    "pptx": Message("{title}, slide {page}", "{title}，第 {page} 张幻灯片"),
    "xlsx": Message("{title}, sheet {page}", "{title}，第 {page} 个工作表"),
    "tif": Message("{title}, page {page}", "{title}，第 {page} 页"),
    "tiff": Message("{title}, page {page}", "{title}，第 {page} 页"),
}
"""How a citation names a place in a file, by the file's format."""

# ── Files that are not read ──────────────────────────────────────────────────────────────────────────────────────────

IMAGE = Message(
    "I cannot see the image {name}, because my model reads only text. Copy its text into your question, or ask an "
    "owner to turn on text recognition.",
    "我看不到图片 {name}，因为我的模型只能读取文字。请把其中的文字复制到问题中，或请负责人开启文字识别。",
)
SCANNED = Message(
    "{name} has only images of text, which I cannot read. Run text recognition (OCR) on it and send it again, or ask "
    "an owner to turn it on for me.",
    "{name} 只含文字的图片，我无法读取。请先进行文字识别（OCR）再重新发送，或请负责人为我开启文字识别。",
)
ENCRYPTED = Message(
    "{name} needs a password, so I could not read it. Send a copy without one.",
    "{name} 需要密码，我无法读取。请发送没有密码的副本。",
)
TOO_LARGE = Message(
    "{name} is too large for me to read. Send the part that matters.", "{name} 太大，我无法读取。请只发送重要的部分。"
)
UNSUPPORTED = Message(
    "I do not read this kind of file: {name}. Send it as PDF, DOCX, XLSX, PPTX or text.",
    "我不读取这种文件：{name}。请以 PDF、DOCX、XLSX、PPTX 或文本格式发送。",
)
BROKEN = Message(
    "I could not read {name}: it is damaged or took too long. Open it, save it again and send that.",
    "无法读取 {name}：文件已损坏，或读取时间过长。请打开并重新保存后再发送。",
)
EMPTY = Message("{name} has no text that I can read.", "{name} 中没有我可以读取的文字。")
CUT = Message(
    "{name} is long, so I read only its beginning ({pages} pages at most).",
    "{name} 很长，我只读取了开头部分（最多 {pages} 页）。",
)
PAGES_UNREAD = Message(
    "I did not read {count} scanned pages of {name}. Send the pages that matter as a file of their own.",
    "{name} 有 {count} 个扫描页我没有读取。请把重要的页单独发送。",
    "I did not read 1 scanned page of {name}. Send the pages that matter as a file of their own.",
)
TOO_MANY = Message(
    "I read the newest {count} files of this thread and left the others out.",
    "我读取了此消息列中最新的 {count} 个文件，其余的没有读取。",
)
TOO_SLOW = Message(
    "Reading the files took over {seconds} seconds, so some are missing from this answer: {names}.",
    "读取文件超过 {seconds} 秒，因此这个回答没有用到：{names}。",
)

# ── Messages that are not read ───────────────────────────────────────────────────────────────────────────────────────

MESSAGE_HIDDEN = Message(
    "I could not confirm that you and I can both read that message. Join its channel, invite me there, and ask again.",
    "我无法确认您和我都能读取那条消息。请加入其所在的频道，邀请我，然后重新提问。",
)
MESSAGE_GONE = Message(
    "That message was deleted, so I cannot answer questions about it. Ask without it.",
    "那条消息已被删除，我无法就它作答。请不要引用它，重新提问。",
)
