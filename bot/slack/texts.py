"""Sentences that Kvasir itself says in Slack, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.slack.posting.render import NOTICE_MARK
from knowledge.sources.uploads.upload_store import UploadResult


class Addressee(Protocol):
    """Somebody that a sentence is for."""

    chinese: bool


@dataclass(frozen=True, slots=True)
class BilingualText:
    """One text in both languages."""

    english: str
    chinese: str

    def to(self, addressee: Addressee) -> str:
        """Return the text in the language of the addressee."""
        return self.chinese if addressee.chinese else self.english

    @property
    def both(self) -> str:
        """Return the text in both languages, English first."""
        return f"{self.english}\n{self.chinese}"

    def format(self, **fields: str) -> BilingualText:
        """Return the text with its fields filled in."""
        return BilingualText(self.english.format(**fields), self.chinese.format(**fields))


EMPTY_QUESTION = BilingualText(
    "Ask me something after my name, for example: “@Kvasir how do I add a source?” `/kb help` lists the commands.",
    "请在提及我之后写下问题，例如：“@Kvasir 如何添加来源？” 输入 `/kb 帮助` 可查看所有命令。",
)
ANSWER_INTERRUPTED = BilingualText(
    f"_{NOTICE_MARK} I was interrupted here; the answer follows below._",
    f"_{NOTICE_MARK} 回答在此中断，完整的回答见下方。_",
)
TOO_MANY_ATTEMPTS = BilingualText(
    "I was interrupted several times and could not answer this question. Please ask again; the log has the reason.",
    "我多次被中断，没能回答这个问题。请再问一次；原因见日志。",
)
ANSWER_STOPPED = BilingualText("Stopped.", "已停止。")
QUESTION_DELETED = BilingualText("The question was deleted, so I stopped here.", "问题已被删除，回答到此为止。")
FILES_IGNORED = BilingualText(
    "I cannot read attached files, so this answer is based on the text alone.",
    "我无法读取附件，以下仅根据文字回答。",
)
THREAD_UNREADABLE = BilingualText(
    "I could not read this thread, so this answer is based on the last message alone.",
    "我无法读取此消息列，以下仅根据最后一条消息回答。",
)
BUSY_STATUS = BilingualText("is busy. {text}", "正忙。{text}")
SHARED_CHANNEL = BilingualText(
    "This channel is shared with another company, so I do not answer here. Ask me in a direct message.",
    "此频道与其他公司共享，我不在这里作答。请在内部频道或私信中问我。",
)
EMPTY_ANSWER = BilingualText("There is no answer to show.", "没有可显示的回答。")

PAGE_SAVED = BilingualText("I have saved {url} and am reading it …", "已收下 {url}，正在读取…")
PAGE_EXISTS = BilingualText("{url} is already a document.", "{url} 之前已经添加。")
PAGE_SEARCHABLE = BilingualText(
    "Answers can now use {url} (source {source}). To remove it: `kvasir add --remove URL`.",
    "现在可以搜到 {url}（来源 {source}）。如需移除：`kvasir add --remove URL`。",
)
WEB_ALREADY_SEARCHED = BilingualText(
    "I have already searched the web for this question. The answer is in this thread, or will appear soon.",
    "已经为此搜索过网络，回答就在此消息列中，或正在生成。",
)
QUESTION_GONE = BilingualText(
    "The question was deleted, so I cannot answer it again.", "原来的问题已不存在，无法重新回答。"
)

PASSAGE_GONE = BilingualText(
    "This passage no longer exists: its document was changed or deleted. Ask again to see the current text.",
    "这段原文已不存在：文档已更改或删除。请再问一次，查看现在的内容。",
)
PASSAGE_CUT = BilingualText("The passage continues in its document.", "原文在文档中还有后续内容。")

# ── Files that are added ─────────────────────────────────────────────────────────────────────────────────────────────

FILE_RESULTS = {
    UploadResult.ADDED: BilingualText("I have saved {name} and am reading it …", "已收下 {name}，正在读取…"),
    UploadResult.REPLACED: BilingualText(
        "{name} replaces the document of the same name. I am reading it …", "{name} 已替换原有的同名文档，正在读取…"
    ),
    UploadResult.UNCHANGED: BilingualText(
        "{name} is already a document, with the same content.", "{name} 已经存在，内容没有变化。"
    ),
}
FILES_SEARCHABLE = BilingualText(
    "Answers can now use (source *{source}*): {names}. To remove one: `kvasir add --remove NAME`.",
    "现在可以搜到（来源 *{source}*）：{names}。如需移除：`kvasir add --remove 名称`。",
)
SEARCHABLE_LATER = BilingualText(
    "It is saved. Answers can use it after the sync that is running, or after the next one.",
    "已经保存，等正在进行的或下一次同步结束后即可搜到。",
)
TEXT_IGNORED = BilingualText(
    "I added the files and did not answer the text. Please ask your question in a separate message.",
    "我收下了文件，没有回答文字部分；请单独发送问题。",
)
TOO_MANY_FILES = BilingualText(
    "I added the first {count} files. Please send the others in another message.",
    "我只收下了前 {count} 个文件，请另发一条消息发送其余文件。",
)
NOT_AN_OWNER = BilingualText(
    "Only an owner may add documents. Send the file to {owners}.",
    "只有负责人可以添加文档。请把文件发给 {owners}。",
)
NO_OWNERS = BilingualText(
    "Only owners may add files, and no owner is set. An administrator adds one in kvasir.toml: [access] owners.",
    "我只为负责人保存文件，而目前没有指定负责人。管理员可以在 kvasir.toml 的 [access] owners 中指定。",
)
