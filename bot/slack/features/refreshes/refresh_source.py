"""The button "Refresh" next to a failing source in Home."""

from __future__ import annotations

from typing import Any, Final

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.posting.buttons import MAX_VALUE_CHARACTERS, build_button
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import ButtonPress

REFRESH_SOURCE: Final = "kvasir:refresh"
"""The action id of the button; its value is the source's name."""

_MAX_LABEL_CHARACTERS: Final = 75


class RefreshSourceAction:
    """Refreshes the source of a button, for those who may."""

    def __init__(self, refresh: RefreshRunner, access: Access, messenger: EphemeralMessenger) -> None:
        self._refresh = refresh
        self._access = access
        self._messenger = messenger

    async def run(self, press: ButtonPress) -> None:
        """Refresh the source, or tell the person who may.

        Raises:
            DatabaseError: what the person may see cannot be found out.

        """
        if not self._access.may_refresh(press.user, press.value):
            refusal = kb_texts.explain_refusal(self._access, press.user)
            await self._messenger.answer_interaction(press, render_message(refusal, press.language))
            return
        await self._refresh.run(press, press.value)


def build_refresh_button(source: str, language: Language) -> dict[str, Any]:
    """Return the button that refreshes a source."""
    label = render_message(home.REFRESH, language)
    button = build_button(REFRESH_SOURCE, label, source[:MAX_VALUE_CHARACTERS])
    return button | {"accessibility_label": f"{label}: {source}"[:_MAX_LABEL_CHARACTERS]}
