"""Ask a running Kvasir questions of a newcomer, with its own engine and documents.

`make eval-answers ANSWERS="--sets newcomer"` asks all of them.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.app import create_answerer, create_engine
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from scripts.answer_scores import Item, Record, Score, score
from scripts.answer_sets import load_set
from scripts.answer_sides import TeeEngine, ask_kvasir
from tests.e2e.conftest import Place

ENGINE_S = 60.0
EVERY = 3
"""Which of the questions are asked: each takes some seconds on two cores."""


@dataclass(frozen=True)
class Asked:
    """A question with its answer and score."""

    item: Item
    record: Record
    score: Score

    def __str__(self) -> str:
        """Return what a person needs to understand the error."""
        return (
            f"{self.item.id} {self.item.question}\n  the model: {self.record.raw!r}\n  shown: {self.record.text!r}\n"
            f"  {self.record.notices}\n  {[(number, document) for number, document, _ in self.record.passages]}"
        )


async def ask_newcomer_questions(place: Place) -> list[Asked]:
    """Ask every third question at temperature 0, one after the other, with the settings of the folder."""
    settings = load_settings(place.environ(), place.folder)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(open_configured_library(settings))
        await engine.wait_until_ready(ENGINE_S)
        tee = TeeEngine(engine, small_model=False)
        judges = Judges(engine, Calibrations(settings.home).find_calibration)
        answerer = create_answerer(library, tee, judges=judges, limits=settings.limits)
        results = []
        for item in load_set("newcomer", Path(), Path(), 0, 0).items[::EVERY]:
            record = await ask_kvasir(answerer, tee, item, item.id)
            results.append(Asked(item, record, score(item, record)))
        return results
