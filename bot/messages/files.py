"""What Kvasir says about files that a person adds as documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message
from knowledge.sources.uploads.upload_store import UploadResult

RESULTS: Final[Mapping[UploadResult, Message]] = {
    UploadResult.ADDED: Message("I have saved {name} and am reading it …", "已收下 {name}，正在读取…"),
    UploadResult.REPLACED: Message(
        "{name} replaces the document of the same name. I am reading it …", "{name} 已替换原有的同名文档，正在读取…"
    ),
    UploadResult.UNCHANGED: Message(
        "{name} is already a document, with the same content.", "{name} 已经存在，内容没有变化。"
    ),
}
SEARCHABLE = Message(
    "Answers can now use (source *{source}*): {names}. To remove one: `kvasir add --remove NAME`.",
    "现在可以搜到（来源 *{source}*）：{names}。如需移除：`kvasir add --remove 名称`。",
)
SEARCHABLE_LATER = Message(
    "It is saved. Answers can use it after the sync that is running, or after the next one.",
    "已经保存，等正在进行的或下一次同步结束后即可搜到。",
)
TEXT_IGNORED = Message(
    "I added the files and did not answer the text. Please ask your question in a separate message.",
    "我收下了文件，没有回答文字部分；请单独发送问题。",
)
TOO_MANY = Message(
    "I added the first {count} files. Please send the others in another message.",
    "我只收下了前 {count} 个文件，请另发一条消息发送其余文件。",
)
NOT_AN_OWNER = Message(
    "Only an owner may add documents. Send the file to {owners}.", "只有负责人可以添加文档。请把文件发给 {owners}。"
)
NO_OWNERS = Message(
    "Only owners may add files, and no owner is set. An administrator adds one in kvasir.toml: [access] owners.",
    "我只为负责人保存文件，而目前没有指定负责人。管理员可以在 kvasir.toml 的 [access] owners 中指定。",
)
