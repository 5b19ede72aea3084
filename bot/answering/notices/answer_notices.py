"""What is said about an answer: why there is none, what is missing of it, and what was done on the web for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bot.answering.events import Notice, Text
from bot.answering.extracts.extract import SOURCES, listed
from bot.answering.language import Tongue
from bot.answering.limits import Limits
from bot.answering.markdown.link_policy import by_its_end
from bot.answering.notices.messages import Say, progress_text, say, translate_web
from bot.answering.policy import WebUse, Why
from bot.answering.turn import EngineStream, Turn
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import KnowledgeError
from knowledge.interfaces import WebSearchReport
from knowledge.web.http.domains import extract_host

_HOST = 80
"""Characters of a host that is named."""
_NAMED = 3
"""Pages that were left out and are named."""


_OBSTACLES = {
    EngineState.STARTING: Say.ENGINE_LOADING,
    EngineState.INSTALLING: Say.ENGINE_PREPARING,
    EngineState.DOWNLOADING: Say.ENGINE_PREPARING,
    EngineState.FAILED: Say.ENGINE_FAILED,
    EngineState.ABSENT: Say.ENGINE_ABSENT,
    EngineState.STOPPING: Say.ENGINE_ABSENT,
}


def obstacle(status: EngineStatus, tongue: Tongue) -> str | None:
    """Say why the engine cannot be asked now, or None if it can."""
    if (phrase := _OBSTACLES.get(status.state)) is None:
        return None
    progress, detail = progress_text(status.progress, tongue), status.detail
    return say(phrase, tongue, progress=progress, reason=detail, detail=f" {detail}" if detail else "")


def unknown(turn: Turn) -> Text:
    """Say that the documents do not answer, and what was looked at."""
    looked_at = turn.passages[:SOURCES]
    if not looked_at:
        return Text(say(Say.FOUND_NOTHING, turn.tongue))
    listing = listed(turn.numbering.display(*looked_at))
    names = ("、" if turn.tongue == "zh" else ", ").join(turn.unmentioned)
    why = say(Say.UNMENTIONED, turn.tongue, names=names) if names else say(Say.UNKNOWN, turn.tongue)
    return Text(f"{why}\n\n{say(Say.LOOKED_AT, turn.tongue)}\n{listing}")


def why_nothing(turn: Turn, said: EngineStream, failure: Exception | None, limits: Limits) -> str:
    """Say why no sentence of the model is shown."""
    if isinstance(failure, TimeoutError):
        seconds = limits.answer_s if said.begun else min(limits.answer_s, limits.first_token_s)
        return say(Say.ENGINE_SLOW if said.begun else Say.NO_FIRST_TOKEN, turn.tongue, seconds=f"{seconds:g}")
    if isinstance(failure, KnowledgeError):
        return say(Say.CHECK_FAILED, turn.tongue, reason=failure)
    if failure:
        return say(Say.ENGINE_FAILED, turn.tongue, reason=failure)
    if said.verified.dropped or said.verified.contradicted or said.verified.ended:
        return say(Say.NOTHING_SUPPORTED, turn.tongue)
    return say(Say.NO_ANSWER, turn.tongue)


def of_answer(turn: Turn, said: EngineStream, failure: Exception | None, limits: Limits) -> Iterator[Notice]:
    """Say what there is to know about an answer that is shown."""
    tongue, verified = turn.tongue, said.verified
    if isinstance(failure, TimeoutError):
        yield Notice(say(Say.CUT_BY_TIME, tongue, seconds=f"{limits.answer_s:g}"))
    elif failure:
        yield Notice(say(Say.CUT_BY_ERROR, tongue, reason=failure))
    elif verified.ended == "repetition":
        yield Notice(say(Say.CUT_BY_REPETITION, tongue))
    elif verified.ended == "length" or (said.cut and not verified.ended):
        yield Notice(say(Say.CUT_BY_LENGTH, tongue))
    parts = [say(Say.WARNING, tongue)] if verified.marked else []
    counted = ((Say.REMOVED, verified.contradicted), (Say.LEFT_OUT, verified.dropped))
    parts += [say(phrase, tongue, count=count) for phrase, count in counted if count]
    if parts:
        yield Notice(_joined(parts, tongue))
    if turn.small_model and not turn.asked.history:
        yield Notice(say(Say.SMALL_MODEL, tongue))


# ── The web ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_BECAUSE = {
    Why.ASKED: Say.WEB_ASKED,
    Why.LINK: Say.WEB_LINK,
    Why.RECENT: Say.WEB_RECENT,
    Why.WEAK: Say.WEB_WEAK,
}


def of_web(turn: Turn) -> Iterator[Notice]:
    """Say why the web was asked and what came of it; or why it was not, where somebody may have waited for it."""
    web, tongue = turn.web, turn.tongue
    if web.look is not None and web.why in _BECAUSE:
        came = say(Say.WEB_READ if web.look.read else Say.WEB_NOTHING_READ, tongue, count=len(web.look.read))
        told = [say(_BECAUSE[web.why], tongue, came=came), translate_web(web.look.trouble, tongue)]
        yield Notice(_joined([*told, _left_out(web.look, tongue)], tongue))
    elif web.policy.mode == "off" and _was_waited_for(web, answerable=turn.answerable):
        yield Notice(say(Say.WEB_OFF, tongue))
    if web.closed and web.policy.mode != "off":
        hosts = dict.fromkeys(map(_host, web.closed))
        yield Notice(say(Say.WEB_CLOSED, tongue, hosts=("、" if tongue == "zh" else ", ").join(hosts)))


def _was_waited_for(web: WebUse, *, answerable: bool) -> bool:
    """Tell whether the web would have been asked, were it not for the channel; a house without it is no news.

    Of a link that stands in the thread it is not told with every answer.
    """
    if web.why is Why.ASKED or web.closed:
        return True
    return web.policy.searches and (web.why is Why.RECENT or (web.why in {Why.WEAK, Why.LINK} and not answerable))


def _left_out(look: WebSearchReport, tongue: Tongue) -> str:
    if not look.left_out:
        return ""
    form, comma = ("{}（{}）", "；") if tongue == "zh" else ("{} ({})", "; ")
    named = comma.join(
        form.format(_host(one.url), translate_web(one.why, tongue).rstrip(".。")) for one in look.left_out[:_NAMED]
    )
    more = len(look.left_out) - _NAMED
    return say(Say.WEB_LEFT_OUT_MORE if more > 0 else Say.WEB_LEFT_OUT, tongue, named=named, more=more)


def _host(url: str) -> str:
    return by_its_end(extract_host(url) or url[:_HOST], _HOST)


def _joined(parts: list[str], tongue: Tongue) -> str:
    return ("" if tongue == "zh" else " ").join(part for part in parts if part)
