"""What Kvasir says about the documents that it answers from."""

from __future__ import annotations

from bot.messages.message import Message

OVERVIEW = Message("I answer from these documents:", "我根据以下文档回答：")
NO_DOCUMENTS = Message(
    "No document has been read yet that you may see. Add a source to kvasir.toml and run `kvasir sync`.",
    "还没有读取你可以查看的文档。请在 kvasir.toml 中添加来源，然后运行 `kvasir sync`。",
)
COUNT = Message("{count} documents", "{count} 篇文档", "1 document")
SOURCE_READ = Message("({kind}): {count}, read {age}.", "（{kind}）：{count}，{age}读取。")
SOURCE_UNFINISHED = Message("({kind}): {count}, not read completely yet.", "（{kind}）：{count}，尚未读完。")
TITLES = Message("Titles: {titles}", "标题：{titles}")
QUOTED_TITLE = Message("“{title}”", "《{title}》")
KINDS = {
    "confluence": Message("Confluence", "Confluence"),
    "drive": Message("Google Drive", "Google Drive"),
    "feed": Message("a feed", "订阅源"),
    "folder": Message("a folder", "文件夹"),
    "git": Message("a git repository", "Git 仓库"),
    "notion": Message("Notion", "Notion"),
    "objects": Message("an object store", "对象存储"),
    "pages": Message("pages of the web", "网页"),
    "push": Message("added by hand", "手动添加"),
    "slack": Message("Slack channels", "Slack 频道"),
    "sql": Message("a database", "数据库"),
    "website": Message("a website", "网站"),
}
"""The kinds of sources, as ``kvasir.toml`` names them."""
