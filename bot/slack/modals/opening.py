"""Opens modals in time: Slack's permission for one lasts three seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from bot.messages import progress
from bot.messages.errors import explain_error
from bot.messages.message import Message, render_message
from bot.slack.incoming.interactions import ButtonPress, SlashCommand
from bot.slack.modals.modal import build_modal, build_plain_text
from bot.slack.transport.web_api import SlackWebApi
from knowledge.language import Language

_QUICK_S: Final = 1.2
"""How long the content may take before a modal without it is opened."""


async def open_modal(
    api: SlackWebApi, act: ButtonPress | SlashCommand, build: Coroutine[Any, Any, Mapping[str, Any]]
) -> str:
    """Open a modal and return its id. If building it takes long, it first says that it is coming.

    Raises:
        SlackError: Slack refuses it.
        Exception: what ``build`` raises; a modal that is open says why.

    """
    building = asyncio.create_task(build, name="modal")
    try:
        await asyncio.wait({building}, timeout=_QUICK_S)
        if building.done():
            opened = await api.call("views.open", trigger_id=act.trigger_id, view=building.result())
            return str(opened["view"]["id"])
        waiting = build_sentence_view(progress.OPENING, act.language)
        opened = await api.call("views.open", trigger_id=act.trigger_id, view=waiting)
        view_id = str(opened["view"]["id"])
        try:
            view = await building
        except Exception as error:
            refusal = build_sentence_view(explain_error(error), act.language)
            await api.call("views.update", view_id=view_id, view=refusal)
            raise
        await api.call("views.update", view_id=view_id, view=view)
        return view_id
    finally:
        building.cancel()


def build_sentence_view(message: Message, language: Language) -> dict[str, Any]:
    """Return a modal with one sentence."""
    section = {"type": "section", "text": build_plain_text(render_message(message, language))}
    return build_modal("kvasir:sentence", "Kvasir", [section], close=render_message(progress.CLOSE, language))
