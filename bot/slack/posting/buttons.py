"""The buttons under an answer: which ones an answer has, and their content. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.answering.events import Finished
from bot.answering.markdown.link_policy import shorten_host

SEARCH_WEB = "kvasir:look"
"""The action id; the button's value is the question's ``ts``."""
ADD_PAGE = "kvasir:add-page"
"""The action id, followed by a number; the button's value is the page's URL."""
SHOW_PASSAGE = "kvasir:show-passage"
"""The action id, followed by a number; the button's value is the ids of the passage's chunks."""

_MAX_VALUE_CHARACTERS = 2_000
_MAX_HOST_CHARACTERS = 52
"""Characters of a host in a button's text; Slack's limit for the text is 75."""
_MAX_PAGE_BUTTONS = 4


def build_passage_buttons(finished: Finished | None, *, chinese: bool) -> list[dict[str, Any]]:
    """Return a button for each passage of a document that an answer quotes in part."""
    extracted = finished.extracted if finished is not None else ()
    return [_build_passage_button(one.n, one.chunks, chinese=chinese) for one in extracted if one.chunks]


def _build_passage_button(n: int, chunks: Sequence[str], *, chinese: bool) -> dict[str, Any]:
    value = ",".join(chunks)
    return {
        "type": "button",
        "action_id": f"{SHOW_PASSAGE}:{n}",
        "text": {"type": "plain_text", "text": f"显示原文 [{n}]" if chinese else f"Show passage [{n}]"},
        "value": value if len(value) <= _MAX_VALUE_CHARACTERS else value[:_MAX_VALUE_CHARACTERS].rpartition(",")[0],
    }


def offers_web_search(finished: Finished | None) -> bool:
    """Return whether an answer without the web has a button that searches the web."""
    return finished is not None and finished.route not in {"files", "sources"} and finished.web.may_look


def build_web_search_button(question_ts: str, *, chinese: bool) -> dict[str, Any]:
    """Return the button that searches the web for a question."""
    return {
        "type": "button",
        "action_id": SEARCH_WEB,
        "text": {"type": "plain_text", "text": "搜索网络" if chinese else "Search the web"},
        "value": question_ts,
    }


def build_page_buttons(finished: Finished | None, *, chinese: bool) -> list[dict[str, Any]]:
    """Return a button for each web page that an answer cites; an owner adds the page with it."""
    cited = finished.cited if finished is not None else ()
    by_url: dict[str, dict[str, Any]] = {}
    for one in cited:
        if one.web is not None and one.url and len(one.url) <= _MAX_VALUE_CHARACTERS:
            by_url.setdefault(one.url, _build_page_button(one.n, one.url, one.web.host, chinese=chinese))
    return list(by_url.values())[:_MAX_PAGE_BUTTONS]


def _build_page_button(n: int, url: str, host: str, *, chinese: bool) -> dict[str, Any]:
    shown = shorten_host(host, _MAX_HOST_CHARACTERS)
    label = f"添加此网页 [{n}]：{shown}" if chinese else f"Add this page [{n}]: {shown}"
    return {
        "type": "button",
        "action_id": f"{ADD_PAGE}:{n}",
        "text": {"type": "plain_text", "text": label},
        "value": url,
    }
