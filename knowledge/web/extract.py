"""A strange page's main text, by trafilatura: for pages that do not mark it themselves.

Runs in the parsing process, where what a page does to a library costs that page alone.
"""

from __future__ import annotations

from typing import Final

_LONGEST = 3_000_000
"""Characters; trafilatura takes seconds for a longer page."""

MAIN_TEXT: Final = "main-text=yes"
"""A parameter of ``text/html`` in ``Content.media_type``: a page from the web, whose main text alone counts."""


def main_html(html: str) -> str | None:
    """Return a page's main text with its headings, lists, tables and code as simple HTML; None where none is found."""
    if len(html) > _LONGEST:
        return None
    import trafilatura  # noqa: PLC0415 - for the parsing process alone

    return trafilatura.extract(
        html,
        output_format="html",
        include_comments=False,
        include_tables=True,
        include_formatting=True,
        favor_recall=True,
    )
