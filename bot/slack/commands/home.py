"""The app's Home tab: how to ask Kvasir, and the state of its documents. Pure."""

from __future__ import annotations

from typing import Any

from bot.slack.commands.parsing import HELP, HELP_CHINESE
from bot.slack.posting.render import split_head

_MAX_SECTION_CHARACTERS = 2_900


def build_home_view(status: str) -> dict[str, Any]:
    """Return the view; ``status`` is the text of ``/kb status``."""
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Kvasir"}},
            _build_section(HELP),
            _build_section(HELP_CHINESE),
            {"type": "divider"},
            _build_section(split_head(status, _MAX_SECTION_CHARACTERS)[0]),
        ],
    }


def _build_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}
