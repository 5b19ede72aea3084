"""The text of an answer that Slack does not have yet."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.slack.wire.text import cutting


class TextBuffer:
    """Collects text; what a call sends stays in the buffer until Slack has accepted it."""

    def __init__(self, render_markdown: Callable[[str], str]) -> None:
        self._render_markdown = render_markdown
        self._unrendered: list[str] = []
        """Markdown of the model, which is rendered together when the next call is due."""
        self.pending = ""
        self.opening = ""
        """The start of the next message: a reopened fence, or the head of a table that continues."""
        self.in_flight = 0
        self.first_call_s: float | None = None
        """The time from the first text to its call, in seconds."""
        self._first_text_at = 0.0

    @property
    def has_text(self) -> bool:
        """Return whether there is text to send."""
        return bool(self.pending or self._unrendered)

    def get_wait_s(self, after_s: float) -> float:
        """Return how long until ``after_s`` from the first text, in seconds."""
        return max(0.0, self._first_text_at + after_s - time.perf_counter())

    def add_text(self, text: str) -> None:
        """Append rendered Markdown."""
        self.render_text()
        self.pending += text
        self._note_arrival(text)

    def add_markdown(self, markdown: str) -> None:
        """Append Markdown of the model."""
        self._unrendered.append(markdown)
        self._note_arrival(markdown)

    def _note_arrival(self, text: str) -> None:
        if text and not self._first_text_at:
            self._first_text_at = time.perf_counter()

    def render_text(self) -> None:
        """Render what the model has written."""
        if self._unrendered:
            self.pending += self._render_markdown("".join(self._unrendered))
            self._unrendered.clear()

    def close_code_fence(self, before: str) -> None:
        """Close the code fence that is open at the end of the text, of which ``before`` is in Slack."""
        self.render_text()
        text = before + self.pending
        fence = cutting.find_open_fence(text)
        if fence is not None:
            self.pending += cutting.make_closing_fence(fence, text) + "\n"

    def discard_text(self) -> None:
        """Drop the text."""
        self._unrendered.clear()
        self.pending = ""

    def keep_opening(self) -> None:
        """Keep the opening of the next message if the text still needs it."""
        self.opening = cutting.keep_opening(self.opening, self.pending)

    def note_call(self, piece: str) -> None:
        """Note that a call sends the first ``piece`` of the text."""
        self.in_flight = len(piece)
        if piece and self.first_call_s is None:
            self.first_call_s = time.perf_counter() - self._first_text_at

    def remove_sent(self) -> None:
        """Remove the text that Slack has accepted."""
        self.pending = self.pending[self.in_flight :]
        self.in_flight = 0
