"""What is said about an answer: why there is none, what is missing of it, and what was done on the web for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bot.answering.events import Notice
from bot.answering.limits import Limits
from bot.answering.markdown.link_policy import shorten_host
from bot.answering.policy import Policy, WebUse, Why
from bot.answering.turn import EngineStream, Turn
from bot.languages.registry import Language
from bot.messages import answers, live_web
from bot.messages.engine import render_notes
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import Message, join_clauses, join_names, join_sentences, render_message
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import EmbedderError, IndexRebuilding, KnowledgeError
from knowledge.interfaces import PICTURE_KINDS, WebSearchReport
from knowledge.web.http.domains import extract_host

_HOST = 80
"""Characters of a host that is named."""
_NAMED = 3
"""Pages that were left out and are named."""
_RECOGNISED_PLACE: Final = re.compile(r"(?:page=\d+&viewrect|xywh)=")
"""How the anchor of a passage begins if its text was recognised in a picture."""
_MINUTE_S = 90.0
"""A longer wait is given in minutes."""


_OBSTACLES = {
    EngineState.STARTING: answers.ENGINE_LOADING,
    EngineState.INSTALLING: answers.ENGINE_PREPARING,
    EngineState.DOWNLOADING: answers.ENGINE_PREPARING,
    EngineState.FAILED: answers.ENGINE_FAILED,
    EngineState.ABSENT: answers.ENGINE_ABSENT,
    EngineState.STOPPING: answers.ENGINE_ABSENT,
}


def explain_unavailable_engine(status: EngineStatus, language: Language) -> str | None:
    """Say why the engine cannot be asked now, or None if it can."""
    if (phrase := _OBSTACLES.get(status.state)) is None:
        return None
    reason = render_notes(status.notes, language)
    detail = f" {reason}" if reason else ""
    share = status.progress
    progress = "" if share is None else answers.PROGRESS.fill(percent=round(100 * max(0.0, min(1.0, share))))
    return render_message(phrase, language, progress=progress, reason=reason, detail=detail)


def describe_queue_position(position: int, eta_s: float | None, language: Language) -> str:
    """Return how many requests come first and, if known, roughly how long they take; "" for a request that starts."""
    eta: Message | str = ""
    if eta_s is not None and eta_s < _MINUTE_S:
        eta = answers.ETA_SECONDS.fill(number=max(5, -(-round(eta_s) // 5) * 5))
    elif eta_s is not None:
        eta = answers.ETA_MINUTES.fill(number=round(eta_s / 60))
    return render_message(answers.IN_LINE, language, position=position, eta=eta) if position else ""


def introduce_closest_passages(turn: Turn) -> str:
    """Return the line above the closest passages: there is no direct answer, and why not if that is known."""
    if not turn.unmentioned_names:
        return render_message(answers.CLOSEST, turn.language)
    names = join_names(turn.unmentioned_names, turn.language)
    return render_message(answers.CLOSEST_UNMENTIONED, turn.language, names=names)


def explain_missing_answer(turn: Turn, stream: EngineStream, failure: Exception | None, limits: Limits) -> str | None:
    """Say why no sentence of the model is shown; None if it found no answer, or nothing of its answer is left."""
    if isinstance(failure, TimeoutError):
        seconds = limits.answer_s if stream.has_begun else min(limits.answer_s, limits.first_token_s)
        return render_message(
            answers.ENGINE_SLOW if stream.has_begun else answers.NO_FIRST_TOKEN, turn.language, seconds=f"{seconds:g}"
        )
    if isinstance(failure, KnowledgeError):
        return render_message(answers.CHECK_FAILED, turn.language, reason=explain_error(failure))
    if failure:
        return render_message(answers.ENGINE_FAILED, turn.language, reason=explain_error(failure))
    if stream.checked_stream.supported:  # a small model said less than the documents
        return render_message(answers.EXTRACTS, turn.language)
    if stream.was_cut and not stream.checked_stream.refused and not stream.checked_stream.ended:
        return render_message(answers.NO_ANSWER, turn.language)
    return None


def list_answer_notices(
    turn: Turn, stream: EngineStream, failure: Exception | None, limits: Limits
) -> Iterator[Notice]:
    """Say what there is to know about an answer that is shown."""
    language, checked = turn.language, stream.checked_stream
    if isinstance(failure, TimeoutError):
        yield Notice(render_message(answers.CUT_BY_TIME, language, seconds=f"{limits.answer_s:g}"), is_cut=True)
    elif failure:
        yield Notice(render_message(answers.CUT_BY_ERROR, language, reason=explain_error(failure)), is_cut=True)
    elif checked.ended == "repetition":
        yield Notice(render_message(answers.CUT_BY_REPETITION, language), is_cut=True)
    elif checked.ended == "length" or (stream.was_cut and not checked.ended):
        yield Notice(render_message(answers.CUT_BY_LENGTH, language), is_cut=True)
    parts = [render_message(answers.WARNING, language)] if checked.marked else []
    counted = ((answers.REMOVED, checked.contradicted), (answers.LEFT_OUT, checked.dropped))
    parts += [render_message(phrase, language, count=count) for phrase, count in counted if count]
    if parts:
        yield Notice(join_sentences(parts, language))
    if turn.small_model and not turn.asked_question.history:
        yield Notice(render_message(answers.SMALL_MODEL, language))


def list_recognition_notices(turn: Turn) -> Iterator[Notice]:
    """Say which texts may have mistakes of text recognition, and what became of pictures."""
    given = [one for one in turn.asked_question.materials if one.is_given]
    pictures = [one.title for one in given if one.kind in PICTURE_KINDS]
    if pictures:
        unseen = answers.VISION_FAILED if turn.pictures else answers.PICTURE_UNSEEN
        text = answers.PICTURE_SEEN if turn.is_seen else unseen
        yield Notice(render_message(text, turn.language, names=join_names(pictures, turn.language)))
    cited = [*turn.numbering.passages, *turn.extracted_passages]
    recognised = [one.title for one in given if one.recognised_pages]
    places = [(one.title, one.material.anchor if one.material else (one.url or "").partition("#")[2]) for one in cited]
    recognised += [title for title, anchor in places if _RECOGNISED_PLACE.match(anchor)]
    if recognised:
        names = join_names(dict.fromkeys(recognised), turn.language)
        yield Notice(render_message(answers.RECOGNISED, turn.language, names=names))


def explain_search_trouble(trouble: KnowledgeError, language: Language) -> str:
    """Say why a search may have missed passages."""
    if isinstance(trouble, IndexRebuilding):
        return render_message(explain_error(trouble), language)
    what = answers.WORDS_ALONE if isinstance(trouble, EmbedderError) else answers.SEARCH_FAILED
    return render_message(what, language, reason=explain_error(trouble))


# ── The web ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_BECAUSE = {
    Why.ASKED: live_web.REQUESTED,
    Why.LINK: live_web.LINKED,
    Why.RECENT: live_web.RECENT,
    Why.WEAK: live_web.NOT_ENOUGH,
}


def list_web_notices(turn: Turn) -> Iterator[Notice]:
    """Say why the web was searched and what was found, or why it was not, if the person may expect it."""
    web, language = turn.web, turn.language
    if web.withheld:
        yield Notice(_explain_withheld(web, language))
    if web.look is not None and web.why in _BECAUSE:
        pages = live_web.PAGES_READ.fill(count=len(web.look.read)) if web.look.read else live_web.NOTHING_READ
        reason = render_message(_BECAUSE[web.why], language, came=pages)
        trouble = "" if web.look.trouble is None else render_message(live_web.TROUBLES[web.look.trouble], language)
        yield Notice(join_sentences([reason, trouble, _list_skipped_pages(web.look, language)], language))
    elif web.policy.mode == "off" and _expects_web(web, answerable=turn.answerable):
        yield Notice(render_message(_explain_off(web.policy), language))
    if web.closed_links and web.policy.mode != "off":
        hosts = dict.fromkeys(map(_find_host, web.closed_links))
        yield Notice(render_message(live_web.NOT_LISTED, language, hosts=join_names(hosts, language)))


def _explain_withheld(web: WebUse, language: Language) -> str:
    if web.policy.private_words == "block" or not any(map(str.isalnum, web.withheld)):
        return render_message(live_web.WITHHELD, language)
    return render_message(live_web.WITHHELD_UNTIL_ASKED, language, button=buttons.SEND_WORDS, words=web.withheld)


def _explain_off(policy: Policy) -> Message:
    if policy.off_for_viewers:
        return live_web.OFF_FOR_VIEWERS
    return live_web.OFF_IN_CHANNEL if policy.off_in_channel else live_web.OFF


def _expects_web(web: WebUse, *, answerable: bool) -> bool:
    """Return whether a person expects the web: asked for it, or it would have been searched if the channel allowed it.

    Where Kvasir has no web at all, nobody expects it. A link in the thread is not mentioned in every answer.
    """
    if web.why is Why.ASKED or web.closed_links:
        return True
    return web.policy.searches and (web.why is Why.RECENT or (web.why in {Why.WEAK, Why.LINK} and not answerable))


def _list_skipped_pages(look: WebSearchReport, language: Language) -> str:
    if not look.left_out:
        return ""
    pages = [
        live_web.LEFT_OUT_PAGE.fill(host=_find_host(one.url), why=live_web.SKIP_REASONS[one.why])
        for one in look.left_out
    ]
    named = join_clauses((render_message(page, language) for page in pages[:_NAMED]), language)
    more = len(pages) - _NAMED
    return render_message(live_web.MORE_LEFT_OUT if more > 0 else live_web.LEFT_OUT, language, named=named, more=more)


def _find_host(url: str) -> str:
    return shorten_host(extract_host(url) or url[:_HOST], _HOST)
