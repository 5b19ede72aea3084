"""The app's Home tab: the commands, and the state of the documents. Pure."""

from __future__ import annotations

from typing import Any

from bot.slack.commands.parsing import HELP, HELP_CHINESE
from bot.slack.posting.ephemeral import build_section
from bot.slack.posting.render import split_head

_MAX_SECTION_CHARACTERS = 2_900


def build_home_view(status: str) -> dict[str, Any]:
    """Return the view; ``status`` is the text of ``/kb status``."""
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Kvasir"}},
            build_section(HELP),
            build_section(HELP_CHINESE),
            {"type": "divider"},
            build_section(split_head(status, _MAX_SECTION_CHARACTERS)[0]),
        ],
    }
