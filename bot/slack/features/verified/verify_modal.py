"""The modal with which an owner verifies an answer, or edits a verified one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from bot.answering.events import Passage
from bot.answering.outgoing import release_text
from bot.answering.verified_answers.same_question import depends_on_day
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.languages.registry import Language
from bot.messages.forms import verified
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import (
    MAX_FIELD_CHARACTERS,
    Block,
    Modal,
    ModalRefused,
    build_date_field,
    build_modal,
    build_text_field,
)
from bot.slack.features.kit.opening import open_modal
from bot.slack.features.verified.management import VALID_S, VerifiedManagement
from bot.slack.posting.ephemeral import build_section
from bot.slack.turns.dependencies import WritePhrasings
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress, ModalSubmission
from bot.slack.wire.text import render
from bot.storage.answers import StoredAnswer
from bot.storage.turns.questions import QuestionKey

_QUESTION, _PHRASINGS, _SUGGESTED, _ANSWER, _EXPIRES = "question", "phrasings", "suggested", "answer", "expires"
_MAX_QUESTION: Final = 300
_MAX_PHRASINGS: Final = 30
_MAX_DAYS: Final = 730


class VerifyModal(Modal):
    """Opens the modal, adds suggestions to it once they are written, and stores what is submitted."""

    callback_id = "kvasir:verify"

    def __init__(
        self, shared: SharedParts, management: VerifiedManagement, write_phrasings: WritePhrasings | None
    ) -> None:
        self._shared = shared
        self._management = management
        self._write_phrasings = write_phrasings

    async def open_for_answer(self, press: ButtonPress, key: QuestionKey) -> None:
        """Open the modal for an answer that was shown.

        Raises:
            ModalRefused: it is not stored, it cites more than documents, or the person may not read all of them now.
            DatabaseError: what the person may read cannot be found out.
            SlackError: Slack refuses it.

        """
        place: dict[str, Any] = {"key": [key.team, key.channel, key.ts]}
        place |= {"thread": press.active_thread_ts, "channel": press.channel}

        async def find_draft() -> VerifiedAnswer:
            answer = await self._shared.answers.find_answer(key)
            if answer is None:
                raise ModalRefused(verified.ANSWER_NOT_STORED)
            if not answer.passages or not all(one.chunks for one in answer.passages):
                raise ModalRefused(verified.NO_SOURCES)
            draft = make_draft(answer)
            if not await self._management.may_read(press.user, draft):
                raise ModalRefused(verified.SOURCES_CHANGED)
            place["answered_at"] = answer.created_at
            return draft

        await self._open_view(press, find_draft(), place, verified.TITLE)

    async def open_for_edit(self, press: ButtonPress) -> None:
        """Open the modal for the verified answer that a button names.

        Raises:
            ModalRefused: the person does not manage it.
            DatabaseError: the answers cannot be read.
            SlackError: Slack refuses it.

        """

        async def find_draft() -> VerifiedAnswer:
            found = await self._management.find_answer(press.user, press.value)
            if found is None:
                raise ModalRefused(verified.GONE)
            return found

        await self._open_view(press, find_draft(), {"id": press.value, "channel": press.channel}, verified.EDIT_TITLE)

    async def _open_view(
        self,
        press: ButtonPress,
        find_draft: Coroutine[Any, Any, VerifiedAnswer],
        place: dict[str, Any],
        title: Message,
    ) -> None:
        def build_view(draft: VerifiedAnswer, suggestions: Sequence[Block]) -> dict[str, Any]:
            blocks = _build_fields(draft, suggestions, press.language)
            return build_modal(
                self.callback_id,
                render_message(title, press.language),
                blocks,
                submit=render_message(verified.SUBMIT, press.language),
                close=render_message(verified.CANCEL, press.language),
                metadata=json.dumps(place),
            )

        waiting: Block = render.build_context_block(render_message(verified.WRITING_PHRASINGS, press.language))
        finding = asyncio.create_task(find_draft, name="verified answer")

        async def build_first() -> dict[str, Any]:
            return build_view(await finding, (waiting,) if self._write_phrasings else ())

        opened = await open_modal(self._shared.api, press, build_first())
        if opened is None or self._write_phrasings is None:
            return
        draft = await finding
        suggestions = await self._write_phrasings(draft.question)
        label = render_message(verified.SUGGESTED, press.language)
        field = build_text_field(_SUGGESTED, label, initial="\n".join(suggestions), multiline=True, optional=True)
        try:
            view = build_view(draft, (field,) if suggestions else ())
            await self._shared.api.call("views.update", view_id=opened["id"], view=view)
        except SlackError:
            return  # the modal was closed or submitted meanwhile

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Return what is missing, too much, or means something else on another day."""
        errors: dict[str, Message] = {}
        question = submission.get_text(_QUESTION)
        if not any(map(str.isalnum, question)):
            errors[_QUESTION] = verified.QUESTION_MISSING
        elif depends_on_day(question):
            errors[_QUESTION] = verified.DEPENDS_ON_DAY.fill(text=question)
        for block in (_PHRASINGS, _SUGGESTED):
            if (dated := next(filter(depends_on_day, _read_lines(submission, block)), None)) is not None:
                errors[block] = verified.DEPENDS_ON_DAY.fill(text=dated)
        phrasings = _read_phrasings(submission)
        if len(phrasings) > _MAX_PHRASINGS or len("\n".join(phrasings)) > MAX_FIELD_CHARACTERS:  # of the next edit
            errors[_PHRASINGS] = verified.TOO_MANY_PHRASINGS.fill(count=_MAX_PHRASINGS, characters=MAX_FIELD_CHARACTERS)
        if _ANSWER in submission.values and not submission.get_text(_ANSWER):
            errors[_ANSWER] = verified.ANSWER_MISSING
        if _read_day(submission, time.time()) is None:
            errors[_EXPIRES] = verified.DATE_REFUSED
        return errors

    async def run(self, submission: ModalSubmission) -> None:
        """Store the verified answer, and tell the owner until when it is valid.

        Raises:
            ModalRefused: it is not stored, because what the form shows has changed.
            DatabaseError: it cannot be stored, or what the owner may read cannot be found out.

        """
        place = json.loads(submission.metadata)
        draft = await self._find_draft(submission.user, place)
        expires_at = _read_day(submission, time.time())
        if draft is None or expires_at is None:
            raise ModalRefused(verified.ANSWER_NOT_STORED)
        changed = replace(
            draft,
            question=submission.get_text(_QUESTION),
            phrasings=_read_phrasings(submission),
            answer=submission.get_text(_ANSWER) or draft.answer,
            expires_at=expires_at,
        )
        saved = await self._management.verify_answer(submission.user, changed)
        if saved is None:
            raise ModalRefused(verified.SOURCES_CHANGED)
        await self._tell_person(submission, place, verified.SAVED.fill(date=saved.expires_on))

    async def _find_draft(self, user: str, place: Mapping[str, Any]) -> VerifiedAnswer | None:
        """Return what the modal was opened for; None if it was deleted or answered again meanwhile."""
        if "id" in place:
            return await self._management.find_answer(user, place["id"])
        stored = await self._shared.answers.find_answer(QuestionKey(*place["key"]))
        return None if stored is None or stored.created_at != place["answered_at"] else make_draft(stored)

    async def _tell_person(self, submission: ModalSubmission, place: Mapping[str, Any], message: Message) -> None:
        text = render.escape_mrkdwn(render_message(message, submission.language))
        if place["channel"]:
            await self._shared.messenger.reach_person(
                place["channel"], submission.user, text, thread_ts=place.get("thread")
            )
        else:  # the button was on Home
            await self._shared.messenger.answer_interaction(submission, text)


def make_draft(answer: StoredAnswer) -> VerifiedAnswer:
    """Return a verified answer with the words and sources of an answer that was shown."""
    now = time.time()
    passages = (
        Passage(one.n, one.source, one.document, one.title, one.heading, one.url, "", chunks=one.chunks)
        for one in answer.passages
    )
    return VerifiedAnswer(
        id="",
        team=answer.key.team,
        question=" ".join(release_text(answer.question).split()),
        answer=release_text(answer.answer),
        language=answer.language,
        passages=tuple(passages),
        owner="",
        owner_name="",
        verified_at=now,
        expires_at=now + VALID_S,
    )


def _build_fields(draft: VerifiedAnswer, suggestions: Sequence[Block], language: Language) -> list[Block]:
    def render_text(message: Message) -> str:
        return render_message(message, language)

    names = ", ".join(dict.fromkeys(render.escape_name(one.title or one.document) for one in draft.passages))
    day = max(date.fromisoformat(draft.expires_on), datetime.now(UTC).date() + timedelta(days=1))
    answer: Block
    if len(draft.answer) <= MAX_FIELD_CHARACTERS:
        hint = render_text(verified.ANSWER_HINT)
        answer = build_text_field(
            _ANSWER, render_text(verified.ANSWER), hint=hint, initial=draft.answer, multiline=True
        )
    else:
        answer = render.build_context_block(render_text(verified.ANSWER_TOO_LONG))
    return [
        dict(build_section(render_message(verified.WHO_GETS_IT, language, sources=names)[:MAX_FIELD_CHARACTERS])),
        build_text_field(
            _QUESTION,
            render_text(verified.QUESTION),
            hint=render_text(verified.QUESTION_HINT),
            initial=draft.question[:_MAX_QUESTION],
            most=_MAX_QUESTION,
        ),
        build_text_field(
            _PHRASINGS,
            render_text(verified.PHRASINGS),
            hint=render_text(verified.PHRASINGS_HINT),
            initial="\n".join(draft.phrasings)[:MAX_FIELD_CHARACTERS],
            multiline=True,
            optional=True,
        ),
        *suggestions,
        answer,
        build_date_field(_EXPIRES, render_text(verified.EXPIRES), day.isoformat()),
    ]


def _read_lines(submission: ModalSubmission, block: str) -> list[str]:
    """Return the lines of a field, each as one question."""
    lines = (" ".join(line.split())[:_MAX_QUESTION] for line in submission.get_text(block).splitlines())
    return [line for line in lines if any(map(str.isalnum, line))]


def _read_phrasings(submission: ModalSubmission) -> tuple[str, ...]:
    """Return the other ways to ask the question, with the suggestions that were left, each once."""
    return tuple(dict.fromkeys((*_read_lines(submission, _PHRASINGS), *_read_lines(submission, _SUGGESTED))))


def _read_day(submission: ModalSubmission, now: float) -> float | None:
    """Return the end of the chosen day, in seconds since the epoch; None if it is no day that may be chosen."""
    try:
        chosen = datetime.fromisoformat(submission.get_text(_EXPIRES)).replace(tzinfo=UTC)
    except ValueError:
        return None
    ends_at = (chosen + timedelta(days=1, seconds=-1)).timestamp()
    today = datetime.fromtimestamp(now, UTC).date()
    return ends_at if today < chosen.date() <= today + timedelta(days=_MAX_DAYS) else None
