"""Deletions that wait for approval: shows them to an owner, with a button that deletes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bot.languages.registry import Language
from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.features.kit import kb_texts
from bot.slack.posting.buttons import MAX_VALUE_CHARACTERS, build_button
from bot.slack.posting.ephemeral import Block, EphemeralMessenger, build_sections
from bot.slack.wire.interactions import Interaction
from knowledge.errors import UnknownSource
from knowledge.status import SourceStatus

APPROVE_DELETION = "kvasir:approve"
"""The action id of the button; its value has the source and the mark of its pending deletions."""


class PendingDeletions:
    """Finds the deletions that wait for approval, and shows them."""

    def __init__(self, library: KnowledgeLibrary, messenger: EphemeralMessenger) -> None:
        self._library = library
        self._messenger = messenger

    async def find_pending(self, source: str | None) -> list[SourceStatus]:
        """Return the sources with pending deletions: all of them, or the named one.

        Raises:
            UnknownSource: no source has this name.
            KnowledgeError: the manifest cannot be read.

        """
        state = await self._library.status()
        sources = (*state.sources, *state.removed)
        names = [one.name for one in sources]
        if source is not None and source not in names:
            raise UnknownSource(source, names)
        return [one for one in sources if one.pending_deletions and source in {None, one.name}]

    async def show_pending(self, interaction: Interaction, sources: Sequence[SourceStatus], source: str | None) -> None:
        """Show the pending deletions of some sources, or that there are none of ``source``."""
        language = interaction.language
        if not sources:
            await self._messenger.answer_interaction(interaction, kb_texts.format_nothing_pending(source, language))
            return
        requests = [kb_texts.format_approval_request(one, language) for one in sources]
        blocks: list[Block] = []
        for one, text in zip(sources, requests, strict=True):
            blocks += build_sections(text)
            blocks.append({"type": "actions", "elements": [build_delete_button(one, language)]})
        await self._messenger.answer_interaction(interaction, "\n".join(requests), blocks)


def build_delete_button(source: SourceStatus, language: Language) -> dict[str, Any]:
    """Return the button that deletes a source's pending documents."""
    value = json.dumps({"source": source.name, "shown": source.approval_mark}, ensure_ascii=False)
    label = render_message(buttons.DELETE, language, count=source.pending_deletions)
    return build_button(APPROVE_DELETION, label, value[:MAX_VALUE_CHARACTERS]) | {"style": "danger"}


def parse_request(value: str) -> tuple[str, str]:
    """Return the source and the mark of a button; a value that cannot be read matches no source."""
    try:
        fields = json.loads(value)
        return str(fields["source"]), str(fields["shown"])
    except (ValueError, KeyError, TypeError):
        return "", ""
