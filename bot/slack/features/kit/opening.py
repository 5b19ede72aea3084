"""Opens modals in time: Slack's permission for one lasts three seconds from the press on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from bot.languages.registry import Language
from bot.messages import progress
from bot.messages.errors import explain_error
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import build_modal, build_plain_text
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress, ShortcutUse, SlashCommand
from bot.slack.wire.transport.web_api import SlackWebApi

_QUICK_S: Final = 1.2
"""How long after the press a modal without its content is opened. What happened before ``open_modal`` counts, too."""

Act = ButtonPress | SlashCommand | ShortcutUse


async def open_view(api: SlackWebApi, act: Act, view: Mapping[str, Any]) -> Mapping[str, Any]:
    """Open a modal whose content is ready, and return Slack's view.

    Raises:
        SlackError: Slack refuses it.

    """
    opened: Mapping[str, Any] = (await api.call("views.open", trigger_id=act.trigger_id, view=view))["view"]
    return opened


async def open_modal(
    api: SlackWebApi, act: Act, build: Coroutine[Any, Any, Mapping[str, Any] | None]
) -> Mapping[str, Any] | None:
    """Open a modal and return its view. If building it takes long, the modal first says that it is coming.

    ``build`` does everything that may take long. It returns None if it has sent the person a message instead.
    It runs to its end even if Slack refuses the modal, because it may store something.

    Raises:
        SlackError: Slack refuses it.
        Exception: what ``build`` raises; a modal that is open says why.

    """
    building = asyncio.create_task(build, name="modal")
    try:
        await asyncio.wait({building}, timeout=act.received_at + _QUICK_S - time.monotonic())
        if building.done():
            quick_view = building.result()
            return None if quick_view is None else await open_view(api, act, quick_view)
        try:
            waiting = await open_view(api, act, build_sentence_view(progress.OPENING, act.language))
        except SlackError:
            await building
            raise
        try:
            view = await building
        except Exception as error:
            refusal = build_sentence_view(explain_error(error), act.language)
            with suppress(SlackError):  # the person may have closed it
                await api.call("views.update", view_id=waiting["id"], view=refusal)
            raise
        sent = build_sentence_view(progress.MESSAGE_SENT, act.language)
        await api.call("views.update", view_id=waiting["id"], view=sent if view is None else view)
        return None if view is None else waiting
    finally:
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)


def build_sentence_view(message: Message, language: Language) -> dict[str, Any]:
    """Return a modal with one sentence."""
    section = {"type": "section", "text": build_plain_text(render_message(message, language))}
    return build_modal("kvasir:sentence", "Kvasir", [section], close=render_message(progress.CLOSE, language))
