"""A whole answer, collected from its events, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Passage, Sources, Text
from bot.languages.registry import choose_language
from bot.messages import live_web
from bot.messages.forms import verified
from bot.messages.message import render_message
from knowledge.interfaces import WebOrigin


@dataclass(slots=True)
class Transcript:
    """The parts of an answer, collected from its events."""

    text: list[str] = field(default_factory=list)
    extracts: list[str] = field(default_factory=list)
    """What of the text the documents say in their own words."""
    notices: list[str] = field(default_factory=list)
    passages: tuple[Passage, ...] = ()
    end: Finished = field(default_factory=lambda: Finished("unknown", (), {}))

    def add_event(self, event: AnswerEvent) -> None:
        """Add one event."""
        match event:
            case Sources(passages):
                self.passages = passages
            case Text(markdown, is_extract=is_extract):
                self.text.append(markdown)
                self.extracts += [markdown] if is_extract else []
            case Notice(text):
                self.notices.append(text)
            case Offer(_, question):
                self.notices.append(describe_offer(question))
            case Finished():
                self.end = event

    @property
    def sources(self) -> tuple[Passage, ...]:
        """Return the cited passages, or all passages if none is cited."""
        return self.end.cited or self.passages


def describe_offer(question: str) -> str:
    """Return the line that names a similar question with a verified answer."""
    return render_message(verified.SIMILAR, choose_language(question), question=question)


def build_transcript_json(transcript: Transcript) -> dict[str, object]:
    """Return an answer in the shape that scripts rely on."""
    end, web, look = transcript.end, transcript.end.web, transcript.end.web.look
    skipped = look.left_out if look else ()
    return {
        "answer": "".join(transcript.text).strip(),
        "extracts": "".join(transcript.extracts).strip(),
        "sources": [build_passage_json(passage) for passage in transcript.sources],
        "notices": transcript.notices,
        "marked": end.marked_count,
        "removed": end.removed_count,
        "route": {"web": web.when, "why": web.why.value, "policy": web.policy.mode, "answered_by": end.route},
        "web": {
            "asked": look is not None,
            "provider": look.provider if look else "",
            "read": list(look.read) if look else [],
            "left_out": [
                {"url": one.url, "why": render_message(live_web.SKIP_REASONS[one.why], "en")} for one in skipped
            ],
            "not_listed": list(web.closed_links),
            "trouble": render_message(live_web.TROUBLES[look.trouble], "en") if look and look.trouble else "",
            "seconds": round(look.seconds, 6) if look else 0.0,
        },
        "timings": {name: round(seconds, 6) for name, seconds in end.timings.items()},
    }


def build_passage_json(passage: Passage) -> dict[str, object]:
    """Return where a cited passage stands."""
    return {
        "n": passage.n,
        "source": passage.source,
        "document": passage.document,
        "title": passage.title,
        "heading": passage.heading,
        "url": passage.url,
        "as_of": passage.as_of.isoformat() if passage.as_of else None,
        "web": _page_json(passage.web),
    }


def _page_json(web: WebOrigin | None) -> dict[str, object] | None:
    """Return where on the web a passage comes from; None for a document's passage."""
    if web is None:
        return None
    published = web.published.isoformat() if web.published else None
    return {"host": web.host, "published": published, "fetched_at": web.fetched_at.isoformat(), "stale": web.stale}
