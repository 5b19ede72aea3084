"""The buttons under an answer: which ones an answer has, and their content. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.answering.events import Finished
from bot.answering.markdown.link_policy import shorten_host
from bot.messages import buttons
from bot.messages.message import render_message
from knowledge.language import Language

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


def build_passage_buttons(finished: Finished | None, language: Language) -> list[dict[str, Any]]:
    """Return a button for each passage of a document that an answer quotes in part."""
    extracted = finished.extracted if finished is not None else ()
    return [_build_passage_button(one.n, one.chunks, language) for one in extracted if one.chunks]


def _build_passage_button(n: int, chunks: Sequence[str], language: Language) -> dict[str, Any]:
    value = ",".join(chunks)
    return {
        "type": "button",
        "action_id": f"{SHOW_PASSAGE}:{n}",
        "text": {"type": "plain_text", "text": render_message(buttons.SHOW_PASSAGE, language, n=n)},
        "value": value if len(value) <= _MAX_VALUE_CHARACTERS else value[:_MAX_VALUE_CHARACTERS].rpartition(",")[0],
    }


def offers_web_search(finished: Finished | None) -> bool:
    """Return whether an answer without the web has a button that searches the web."""
    return finished is not None and finished.route not in {"files", "sources"} and finished.web.may_look


def build_web_search_button(question_ts: str, language: Language) -> dict[str, Any]:
    """Return the button that searches the web for a question."""
    return {
        "type": "button",
        "action_id": SEARCH_WEB,
        "text": {"type": "plain_text", "text": render_message(buttons.SEARCH_WEB, language)},
        "value": question_ts,
    }


def build_page_buttons(finished: Finished | None, language: Language) -> list[dict[str, Any]]:
    """Return a button for each web page that an answer cites; an owner adds the page with it."""
    cited = finished.cited if finished is not None else ()
    by_url: dict[str, dict[str, Any]] = {}
    for one in cited:
        if one.web is not None and one.url and len(one.url) <= _MAX_VALUE_CHARACTERS:
            by_url.setdefault(one.url, _build_page_button(one.n, one.url, one.web.host, language))
    return list(by_url.values())[:_MAX_PAGE_BUTTONS]


def _build_page_button(n: int, url: str, host: str, language: Language) -> dict[str, Any]:
    label = render_message(buttons.ADD_PAGE, language, n=n, host=shorten_host(host, _MAX_HOST_CHARACTERS))
    return {
        "type": "button",
        "action_id": f"{ADD_PAGE}:{n}",
        "text": {"type": "plain_text", "text": label},
        "value": url,
    }
