"""Decide whether a question is about a file that was sent earlier in its conversation. Pure."""

from __future__ import annotations

import re

from bot.answering.retrieval.follow_ups import depends_on_history

_NAMES_A_FILE = re.compile(
    r"\b(?:files?|documents?|attach\w*|pdfs?|pages?|slides?|decks?|sheets?|spreadsheets?|reports?|summar\w+)\b"
    r"|文件|附件|文档|表格|幻灯片|第.{1,4}页|总结|概括",
    re.IGNORECASE,
)


def asks_about_material(question: str) -> bool:
    """Return whether a question names a file, a page or a summary, or cannot be understood alone."""
    return bool(_NAMES_A_FILE.search(question)) or depends_on_history(question)
