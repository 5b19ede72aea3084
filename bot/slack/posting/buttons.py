"""The buttons under an answer: what they look like, when they are there, and what a press of one tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.answering.events import Finished
from bot.answering.markdown.link_policy import by_its_end

SEARCH_WEB = "kvasir:look"
"""The button's action; its value is the ``ts`` of the question."""


ADD_PAGE = "kvasir:add-page"
"""What the action of a button begins with that adds a page; its value is the page's address."""

SHOW_PASSAGE = "kvasir:show-passage"
"""What the action of a button begins with that shows a whole passage; its value is the passage's chunks."""

_MAX_VALUE_CHARACTERS = 2_000
"""Characters that Slack takes."""
_MAX_HOST_CHARACTERS = 52
"""Characters of a host in a button's text, of which Slack takes 75."""
_MAX_PAGE_BUTTONS = 4
"""Such buttons under one answer."""


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A button under an answer, as Slack tells of it."""

    user: str
    user_team: str
    channel: str
    message_ts: str
    thread_ts: str
    value: str

    @classmethod
    def from_payload(cls, body: Mapping[str, Any], action: Mapping[str, Any]) -> ButtonPress:
        """Read Slack's payload."""
        user, channel, message = (body.get(name) or {} for name in ("user", "channel", "message"))
        ts = str(message.get("ts") or "")
        return cls(
            user=str(user.get("id") or ""),
            user_team=str(user.get("team_id") or ""),
            channel=str(channel.get("id") or ""),
            message_ts=ts,
            thread_ts=str(message.get("thread_ts") or ts),
            value=str(action.get("value") or ""),
        )


def build_passage_buttons(finished: Finished | None, *, chinese: bool) -> list[dict[str, Any]]:
    """Return a button for each document's passage of which an answer shows an extract."""
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
    """Tell whether the web can be looked at for a question that was answered without it."""
    return finished is not None and finished.route not in {"files", "sources"} and finished.web.may_look


def build_web_search_button(question_ts: str, *, chinese: bool) -> dict[str, Any]:
    """Return the button."""
    return {
        "type": "button",
        "action_id": SEARCH_WEB,
        "text": {"type": "plain_text", "text": "查看网络" if chinese else "Look on the web"},
        "value": question_ts,
    }


def build_page_buttons(finished: Finished | None, *, chinese: bool) -> list[dict[str, Any]]:
    """Return a button for each page of the web that an answer cites, for owners to add it."""
    cited = finished.cited if finished is not None else ()
    found: dict[str, dict[str, Any]] = {}
    for one in cited:
        if one.web is not None and one.url and len(one.url) <= _MAX_VALUE_CHARACTERS:
            found.setdefault(one.url, _build_page_button(one.n, one.url, one.web.host, chinese=chinese))
    return list(found.values())[:_MAX_PAGE_BUTTONS]


def _build_page_button(n: int, url: str, host: str, *, chinese: bool) -> dict[str, Any]:
    shown = by_its_end(host, _MAX_HOST_CHARACTERS)
    label = f"添加此网页 [{n}]：{shown}" if chinese else f"Add this page [{n}]: {shown}"
    return {
        "type": "button",
        "action_id": f"{ADD_PAGE}:{n}",
        "text": {"type": "plain_text", "text": label},
        "value": url,
    }
