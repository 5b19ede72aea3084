"""What is said about an answer: why there is none, what is missing of it, and what was done on the web for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bot.answering.events import Notice, Text
from bot.answering.extracts.extract import SOURCES, format_passage_list
from bot.answering.limits import Limits
from bot.answering.markdown.link_policy import shorten_host
from bot.answering.notices.messages import MessageKey, format_message, format_progress, translate_web_sentence
from bot.answering.policy import WebUse, Why
from bot.answering.turn import EngineStream, Turn
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import KnowledgeError
from knowledge.interfaces import WebSearchReport
from knowledge.language import Language
from knowledge.web.http.domains import extract_host

_HOST = 80
"""Characters of a host that is named."""
_NAMED = 3
"""Pages that were left out and are named."""


_OBSTACLES = {
    EngineState.STARTING: MessageKey.ENGINE_LOADING,
    EngineState.INSTALLING: MessageKey.ENGINE_PREPARING,
    EngineState.DOWNLOADING: MessageKey.ENGINE_PREPARING,
    EngineState.FAILED: MessageKey.ENGINE_FAILED,
    EngineState.ABSENT: MessageKey.ENGINE_ABSENT,
    EngineState.STOPPING: MessageKey.ENGINE_ABSENT,
}


def explain_unavailable_engine(status: EngineStatus, language: Language) -> str | None:
    """Say why the engine cannot be asked now, or None if it can."""
    if (phrase := _OBSTACLES.get(status.state)) is None:
        return None
    progress, detail = format_progress(status.progress, language), status.detail
    return format_message(phrase, language, progress=progress, reason=detail, detail=f" {detail}" if detail else "")


def build_unknown_answer(turn: Turn) -> Text:
    """Say that the documents do not answer, and what was looked at."""
    looked_at = turn.passages[:SOURCES]
    if not looked_at:
        return Text(format_message(MessageKey.FOUND_NOTHING, turn.language))
    listing = format_passage_list(turn.numbering.display(*looked_at))
    names = ("、" if turn.language == "zh" else ", ").join(turn.unmentioned)
    why = (
        format_message(MessageKey.UNMENTIONED, turn.language, names=names)
        if names
        else format_message(MessageKey.UNKNOWN, turn.language)
    )
    return Text(f"{why}\n\n{format_message(MessageKey.LOOKED_AT, turn.language)}\n{listing}")


def explain_missing_answer(turn: Turn, said: EngineStream, failure: Exception | None, limits: Limits) -> str:
    """Say why no sentence of the model is shown."""
    if isinstance(failure, TimeoutError):
        seconds = limits.answer_s if said.begun else min(limits.answer_s, limits.first_token_s)
        return format_message(
            MessageKey.ENGINE_SLOW if said.begun else MessageKey.NO_FIRST_TOKEN, turn.language, seconds=f"{seconds:g}"
        )
    if isinstance(failure, KnowledgeError):
        return format_message(MessageKey.CHECK_FAILED, turn.language, reason=failure)
    if failure:
        return format_message(MessageKey.ENGINE_FAILED, turn.language, reason=failure)
    if said.verified.dropped or said.verified.contradicted or said.verified.ended:
        return format_message(MessageKey.NOTHING_SUPPORTED, turn.language)
    return format_message(MessageKey.NO_ANSWER, turn.language)


def list_answer_notices(turn: Turn, said: EngineStream, failure: Exception | None, limits: Limits) -> Iterator[Notice]:
    """Say what there is to know about an answer that is shown."""
    language, verified = turn.language, said.verified
    if isinstance(failure, TimeoutError):
        yield Notice(format_message(MessageKey.CUT_BY_TIME, language, seconds=f"{limits.answer_s:g}"))
    elif failure:
        yield Notice(format_message(MessageKey.CUT_BY_ERROR, language, reason=failure))
    elif verified.ended == "repetition":
        yield Notice(format_message(MessageKey.CUT_BY_REPETITION, language))
    elif verified.ended == "length" or (said.cut and not verified.ended):
        yield Notice(format_message(MessageKey.CUT_BY_LENGTH, language))
    parts = [format_message(MessageKey.WARNING, language)] if verified.marked else []
    counted = ((MessageKey.REMOVED, verified.contradicted), (MessageKey.LEFT_OUT, verified.dropped))
    parts += [format_message(phrase, language, count=count) for phrase, count in counted if count]
    if parts:
        yield Notice(_joined(parts, language))
    if turn.small_model and not turn.asked.history:
        yield Notice(format_message(MessageKey.SMALL_MODEL, language))


# ── The web ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_BECAUSE = {
    Why.ASKED: MessageKey.WEB_ASKED,
    Why.LINK: MessageKey.WEB_LINK,
    Why.RECENT: MessageKey.WEB_RECENT,
    Why.WEAK: MessageKey.WEB_WEAK,
}


def list_web_notices(turn: Turn) -> Iterator[Notice]:
    """Say why the web was asked and what came of it; or why it was not, where somebody may have waited for it."""
    web, language = turn.web, turn.language
    if web.look is not None and web.why in _BECAUSE:
        came = format_message(
            MessageKey.WEB_READ if web.look.read else MessageKey.WEB_NOTHING_READ, language, count=len(web.look.read)
        )
        told = [
            format_message(_BECAUSE[web.why], language, came=came),
            translate_web_sentence(web.look.trouble, language),
        ]
        yield Notice(_joined([*told, _left_out(web.look, language)], language))
    elif web.policy.mode == "off" and _was_waited_for(web, answerable=turn.answerable):
        yield Notice(format_message(MessageKey.WEB_OFF, language))
    if web.closed and web.policy.mode != "off":
        hosts = dict.fromkeys(map(_host, web.closed))
        yield Notice(
            format_message(MessageKey.WEB_CLOSED, language, hosts=("、" if language == "zh" else ", ").join(hosts))
        )


def _was_waited_for(web: WebUse, *, answerable: bool) -> bool:
    """Tell whether the web would have been asked, were it not for the channel; a house without it is no news.

    Of a link that stands in the thread it is not told with every answer.
    """
    if web.why is Why.ASKED or web.closed:
        return True
    return web.policy.searches and (web.why is Why.RECENT or (web.why in {Why.WEAK, Why.LINK} and not answerable))


def _left_out(look: WebSearchReport, language: Language) -> str:
    if not look.left_out:
        return ""
    form, comma = ("{}（{}）", "；") if language == "zh" else ("{} ({})", "; ")
    named = comma.join(
        form.format(_host(one.url), translate_web_sentence(one.why, language).rstrip(".。"))
        for one in look.left_out[:_NAMED]
    )
    more = len(look.left_out) - _NAMED
    return format_message(
        MessageKey.WEB_LEFT_OUT_MORE if more > 0 else MessageKey.WEB_LEFT_OUT, language, named=named, more=more
    )


def _host(url: str) -> str:
    return shorten_host(extract_host(url) or url[:_HOST], _HOST)


def _joined(parts: list[str], language: Language) -> str:
    return ("" if language == "zh" else " ").join(part for part in parts if part)
