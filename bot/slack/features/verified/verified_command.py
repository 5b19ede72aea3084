"""The lists of verified answers for owners: ``/kb verified``, and those in Home and the digest that need the owner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from bot.answering.outgoing import release_text
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.languages.registry import Language
from bot.messages.forms import owners, verified
from bot.messages.message import Message, render_message
from bot.slack.features.kit.home import SourceOwner
from bot.slack.features.kit.modal import build_plain_text
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, SlashCommand
from bot.slack.wire.text import render

EDIT, RENEW, DELETE = "kvasir:verified-edit", "kvasir:verified-renew", "kvasir:verified-delete"
"""The action ids; the value of each button is the id of the answer."""
_MAX_ENTRIES: Final = 20
_MAX_OWNERS: Final = 5
_MAX_DUE: Final = 5


class VerifiedCommand:
    """Lists verified answers to their owners, who edit, renew and delete them."""

    def __init__(self, shared: SharedParts, management: VerifiedManagement) -> None:
        self._shared = shared
        self._management = management

    async def show_answers(self, typed: SlashCommand, words: str) -> None:
        """Show the owner's verified answers that contain some words.

        Raises:
            DatabaseError: the answers cannot be read.

        """
        managed = await self._management.list_for(typed.user)
        found = [one for one in managed.answers if words.casefold() in " ".join((*one.texts, one.answer)).casefold()]
        language = typed.language
        blocks: list[Block] = []
        if found:
            blocks.append(build_section(render_message(verified.HEAD, language, count=len(found))))
        for one in found[:_MAX_ENTRIES]:
            blocks += build_entry(one, time.time(), language)
        rest: list[str] = []
        if len(found) > _MAX_ENTRIES:
            rest.append(render_message(verified.MORE, language, count=len(found) - _MAX_ENTRIES))
        if not found and words:
            rest.append(render_message(verified.NONE_FOUND, language, words=render.escape_mrkdwn(words)))
        elif not found and not managed.unreadable:
            rest.append(render_message(verified.NONE_VERIFIED, language))
        if managed.unreadable and not words:
            others = sorted({one.owner for one in managed.unreadable})[:_MAX_OWNERS]
            names = ", ".join(f"<@{owner}>" for owner in others)
            count = len(managed.unreadable)
            rest.append(render_message(verified.UNREADABLE, language, count=count, owners=names))
        blocks += [build_section("\n".join(rest))] if rest else []
        text = "\n".join(block["text"]["text"] for block in blocks if block["type"] == "section")
        await self._shared.messenger.answer_interaction(typed, text, blocks)

    async def renew_answer(self, press: ButtonPress) -> None:
        """Make an answer valid from today, unless what it cites has changed."""
        if (found := await self._find_answer(press)) is None:
            return
        renewed = await self._management.renew_answer(press.user, found)
        done = verified.RENEWED.fill(question=found.question, date=renewed.expires_on) if renewed is not None else None
        await self._reply_with(press, done or verified.SOURCES_CHANGED)

    async def delete_answer(self, press: ButtonPress) -> None:
        """Delete an answer."""
        if (found := await self._find_answer(press)) is not None:
            await self._management.delete_answer(press.user, found)
            await self._reply_with(press, verified.DELETED.fill(question=found.question))

    async def _find_answer(self, press: ButtonPress) -> VerifiedAnswer | None:
        """Return the answer of a button if the person manages it; otherwise tell the person that it is gone."""
        found = await self._management.find_answer(press.user, press.value)
        if found is None:
            await self._reply_with(press, verified.GONE)
        return found

    async def _reply_with(self, press: ButtonPress, message: Message) -> None:
        await self._shared.messenger.answer_interaction(
            press, render.escape_mrkdwn(render_message(message, press.language))
        )


@dataclass(frozen=True, slots=True)
class VerifiedSection:
    """Lists the person's verified answers that need the person."""

    management: VerifiedManagement

    async def build_blocks(self, owner: SourceOwner) -> list[Block]:
        """Return the answers, with their buttons."""
        due = await self.management.list_due(owner.user)
        if not due:
            return []
        entries = [build_entry(one, time.time(), owner.language) for one in due[:_MAX_DUE]]
        head = build_section(render_message(owners.VERIFIED_DUE, owner.language, count=len(due)))
        return [head, *(block for entry in entries for block in entry)]

    async def describe_week(self, owner: SourceOwner) -> str:
        """Return the answers and their states."""
        due, now, language = await self.management.list_due(owner.user), time.time(), owner.language
        if not due:
            return ""
        lines = [render_message(owners.VERIFIED_DUE, language, count=len(due))]
        lines += [
            f"• {render.escape_mrkdwn(release_text(one.question))} · {format_state(one, now, language)}"
            for one in due[:_MAX_DUE]
        ]
        more = len(due) - _MAX_DUE
        return "\n".join(
            [*lines, *([f"• {render_message(owners.AND_MORE, language, count=more)}"] if more > 0 else [])]
        )


def build_entry(answer: VerifiedAnswer, now: float, language: Language) -> list[Block]:
    """Return an answer of the list, with its buttons."""
    text = render_message(
        verified.ENTRY,
        language,
        question=render.escape_mrkdwn(release_text(answer.question)),
        state=format_state(answer, now, language),
        name=render.escape_mrkdwn(answer.owner_name),
        date=answer.verified_on,
        phrasings=len(answer.phrasings),
    )
    labels = {EDIT: verified.EDIT, RENEW: verified.RENEW, DELETE: verified.DELETE}
    elements = [build_button(action, render_message(label, language), answer.id) for action, label in labels.items()]
    elements[-1] |= {"style": "danger", "confirm": _build_confirmation(language)}
    return [build_section(text), {"type": "actions", "elements": elements}]


def format_state(answer: VerifiedAnswer, now: float, language: Language) -> str:
    """Return until when an answer is valid, or why it is not shown."""
    if answer.needs_review:
        return render_message(verified.NEEDS_REVIEW, language)
    state = verified.ACTIVE if answer.is_active(now) else verified.EXPIRED
    return render_message(state, language, date=answer.expires_on)


def _build_confirmation(language: Language) -> dict[str, Any]:
    texts = {
        "title": verified.CONFIRM_TITLE,
        "text": verified.CONFIRM,
        "confirm": verified.DELETE,
        "deny": verified.CANCEL,
    }
    return {name: build_plain_text(render_message(message, language)) for name, message in texts.items()}
