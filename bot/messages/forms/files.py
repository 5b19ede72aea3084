"""What Kvasir says about files that a person sends, and about storing them as documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message
from knowledge.sources.uploads.upload_store import UploadResult

RESULTS: Final[Mapping[UploadResult, Message]] = {
    UploadResult.REPLACED: Message("{name} replaces the document of the same name.", "{name} 已替换原有的同名文档。"),
    UploadResult.UNCHANGED: Message(
        "{name} is already a document, with the same content.", "{name} 已经存在，内容没有变化。"
    ),
}
"""What is said about a file that was stored before."""
OFFER = Message(
    "What would you like to know about {names}? Ask in this thread: I read it for the answer and do not store it. "
    "To keep it as a document, choose below who may find it.",
    "您想了解 {names} 的什么内容？请在此消息列中提问：我会为回答读取它，但不会保存。"
    "如需保存为文档，请在下方选择谁可以搜到它。",
)
NOW_FOR_SENDER = Message("Now only you can find {names}.", "现在只有您能搜到 {names}。")
NOW_FOR_CHANNEL = Message(
    "Now you and the members of that channel can find {names}.", "现在您和该频道的成员可以搜到 {names}。"
)
NOW_FOR_EVERYBODY = Message(
    "Now everybody who may read the source {source} can find {names}.",
    "现在所有可以查看来源 {source} 的人都能搜到 {names}。",
)
CHANGED_LATER = Message(
    "I saved your choice. It counts after the sync that is running.", "您的选择已保存，等正在进行的同步结束后生效。"
)
NOT_YOURS = Message(
    "Only the person who sent these files chooses who may find them. If you sent a file again, use the buttons under "
    "the newer message.",
    "只有发送这些文件的人可以选择谁能搜到。如果再次发送过文件，请使用较新消息下方的按钮。",
)
OWNERS_ADD = Message("Only an owner may add documents.", "只有负责人可以添加文档。")
OWNERS_OPEN = Message("Only an owner may open a file to everybody.", "只有负责人可以向所有人开放文件。")
NOT_IN_CHANNEL = Message(
    "I could not confirm that you are in that channel. Join it, invite me if it is private, and choose it again.",
    "我无法确认您在该频道中。请先加入；如果是私人频道，请邀请我，然后重新选择。",
)
SEARCHABLE_LATER = Message(
    "It is saved. Answers can use it after the sync that is running, or after the next one.",
    "已经保存，等正在进行的或下一次同步结束后即可搜到。",
)
IMAGE_ALONE = Message(
    "I cannot see images, because my model reads only text. Write what they show, or copy their text, and ask again.",
    "我看不到图片，因为我的模型只能读取文字。请写出图片的内容，或复制其中的文字，然后重新提问。",
)
FILE_ALONE = Message(
    "What would you like to know about it? Write your question with the file, or in this thread after it. I read the "
    "file for the answer and do not store it.",
    "您想了解它的什么内容？请把问题和文件一起发送，或在其后的消息列中提问。我会为回答读取文件，但不会保存。",
)
IMAGE_REFUSED = Message(
    "I cannot see the image {name}, because my model reads only text. Send its text.",
    "我看不到图片 {name}，因为我的模型只能读取文字。请发送其中的文字。",
)
PICTURE_NOT_STORED = Message(
    "I do not store the picture {name} as a document. Ask about it in this thread, and I read it for the answer.",
    "我不会把图片 {name} 保存为文档。请在此消息列中提问，我会为回答读取它。",
)
TOO_MANY = Message(
    "I can store the first {count} files. Please send the others in another message.",
    "我只能保存前 {count} 个文件，请另发一条消息发送其余文件。",
)

# ── Files that Slack does not give ───────────────────────────────────────────────────────────────────────────────────

NOT_IN_SLACK = Message(
    "{name} is not stored in Slack, or Slack hides it. Send the file itself.",
    "{name} 不在 Slack 中，或在那里被隐藏。请发送文件本身。",
)
OTHER_HOST = Message(
    "{name} is not on Slack's file server, so I did not download it. Send it again.",
    "{name} 不在 Slack 的文件服务器上，因此没有下载。请再发送一次。",
)
NOT_FETCHED = Message(
    "I could not download {name} from Slack. Send it again.", "无法从 Slack 下载 {name}，请再发送一次。"
)
BAD_STATUS = Message(
    "Slack answers {status} for {name}. Send it again.", "Slack 对 {name} 回应 {status}，请再发送一次。"
)
NO_SCOPE = Message(
    "Slack does not give {name} to the app: it lacks the scope files:read. Add it at api.slack.com/apps "
    "(`kvasir manifest` prints all of them) and reinstall the app.",
    "Slack 没有把 {name} 交给应用：缺少权限 files:read。请在 api.slack.com/apps 添加"
    "（`kvasir manifest` 会列出全部权限），然后重新安装应用。",
)
TOO_LARGE = Message(
    "{name} is larger than the limit of {megabytes:.0f} MB. Split it.",
    "{name} 超过 {megabytes:.0f} MB 的上限，请拆分后再发送。",
)
