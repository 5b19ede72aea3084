"""The button "Show passage": a whole passage of which an answer shows an extract, as it is now, for one person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.slack import texts
from bot.slack.posting import render
from bot.slack.posting.buttons import ButtonPress
from bot.slack.transport.web_api import SlackWebApi
from knowledge.interfaces import Hit

FindPassage = Callable[[Sequence[str]], Awaitable[Hit | None]]
"""Chunks to the passage that they make, as it is now and as everybody may read it; None where nothing is left of it."""

_MAX_MARKDOWN_CHARACTERS = 11_000
"""Of the 12,000 characters that Slack takes."""


class ShowPassageAction:
    """Shows passages. It keeps nothing: the button names the chunks, and the library says what they are now."""

    def __init__(self, find: FindPassage, api: SlackWebApi) -> None:
        self._find = find
        self._api = api

    async def show(self, press: ButtonPress) -> None:
        """Show the passage of a button to the person who pressed it, or say that it is gone.

        Raises:
            KnowledgeError: it cannot be read.
            SlackError: Slack did not take it.

        """
        found = await self._find(press.value.split(","))
        gone = f"{texts.PASSAGE_GONE.english}\n{texts.PASSAGE_GONE.chinese}"
        shown = {"text": gone} if found is None else _format_passage(found)
        await self._api.call(
            "chat.postEphemeral",
            channel=press.channel,
            user=press.user,
            thread_ts=press.thread_ts,
            **shown,
        )


def _format_passage(found: Hit) -> dict[str, object]:
    whole = render.MarkdownRenderer({}).feed(f"{found.text.strip()}\n")
    whole, *more = render.split_message(whole, _MAX_MARKDOWN_CHARACTERS)
    fence = render.find_open_fence(whole)
    whole += render.make_closing_fence(fence, whole) if fence else ""
    path = render.format_linked_path(found.title or found.document, found.heading, found.url)
    blocks = [render.build_context_block(path), {"type": "markdown", "text": whole}]
    if more:
        blocks.append(render.build_context_block(f"{texts.PASSAGE_CUT.english}\n{texts.PASSAGE_CUT.chinese}"))
    return {"text": render.make_fallback_text(whole), "blocks": blocks}
