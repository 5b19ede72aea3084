"""The app's Home tab: the commands, and the state of the documents. Pure."""

from __future__ import annotations

from typing import Any

from bot.messages import commands
from bot.messages.message import LANGUAGES, render_message
from bot.slack.posting.ephemeral import MAX_SECTION_CHARACTERS, build_section
from bot.slack.posting.render import split_head


def build_home_view(status: str) -> dict[str, Any]:
    """Return the view; ``status`` is the text of ``/kb status``."""
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Kvasir"}},
            *(build_section(render_message(commands.HELP, language)) for language in LANGUAGES),
            {"type": "divider"},
            build_section(split_head(status, MAX_SECTION_CHARACTERS)[0]),
        ],
    }
