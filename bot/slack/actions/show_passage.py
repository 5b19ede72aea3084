"""The button "Show passage": a whole passage of which an answer shows an extract, as it is now, for one person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.slack import words
from bot.slack.posting import render
from bot.slack.posting.buttons import Pressed
from bot.slack.transport.calls import Calls
from knowledge.interfaces import Hit

FindPassage = Callable[[Sequence[str]], Awaitable[Hit | None]]
"""Chunks to the passage that they make, as it is now and as everybody may read it; None where nothing is left of it."""

_MARKDOWN = 11_000
"""Of the 12,000 characters that Slack takes."""


class PassageDesk:
    """Shows passages. It keeps nothing: the button names the chunks, and the library says what they are now."""

    def __init__(self, find: FindPassage, calls: Calls) -> None:
        self._find = find
        self._calls = calls

    async def show(self, pressed: Pressed) -> None:
        """Show the passage of a button to the person who pressed it, or say that it is gone.

        Raises:
            KnowledgeError: it cannot be read.
            SlackError: Slack did not take it.

        """
        found = await self._find(pressed.value.split(","))
        gone = f"{words.PASSAGE_GONE.english}\n{words.PASSAGE_GONE.chinese}"
        shown = {"text": gone} if found is None else _shown(found)
        await self._calls.call(
            "chat.postEphemeral",
            channel=pressed.channel,
            user=pressed.user,
            thread_ts=pressed.thread_ts,
            **shown,
        )


def _shown(found: Hit) -> dict[str, object]:
    whole = render.Renderer({}).feed(f"{found.text.strip()}\n")
    whole, *more = render.split(whole, _MARKDOWN)
    fence = render.open_fence(whole)
    whole += render.close_fence(fence, whole) if fence else ""
    path = render.linked_path(found.title or found.document, found.heading, found.url)
    blocks = [render.context(path), {"type": "markdown", "text": whole}]
    if more:
        blocks.append(render.context(f"{words.PASSAGE_CUT.english}\n{words.PASSAGE_CUT.chinese}"))
    return {"text": render.fallback(whole), "blocks": blocks}
