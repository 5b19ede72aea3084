"""A random world, in which people ask by the API. ``scripts/soak.py --kind api`` asks as many questions as you like."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.api_history import open_api_history, run_api_history
from tests.soak.generate import Generator
from tests.soak.history import make_history
from tests.soak.model import Ask


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_api_shows_nobody_what_they_may_not_see(tmp_path: Path) -> None:
    """It takes a minute: random questions to a whole Kvasir by each key."""
    outcome = await run_api_history(4, make_history(4, 40, late=False), tmp_path, {})
    assert outcome.questions > 25
    assert outcome.leaks == []
    assert outcome.found >= 0.99 * outcome.allowed, outcome.misses


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_source_that_is_open_by_mistake_is_seen(tmp_path: Path) -> None:
    """The configuration opens a source that the world closes, and the comparison finds its secrets in each format."""
    opened, world = Generator(3, ()).make_world(), Generator(3, ()).make_world()
    name = next(one.name for one in world.places.values() if one.kind == "folder")
    opened.places[name].readers = [("world", "")]
    world.places[name].readers = [("person", "U0OWNER001")]
    documents = [one for one in world.documents.values() if one.place == name]
    person = next(one.id for one in world.humans.values() if one.kind == "member" and "MEMBE" in one.id)
    steps = [Ask(person, f"D0{person[2:]}", one.number) for one in documents]
    async with open_api_history(opened, tmp_path, {}, world) as history:
        outcome = await history.run(steps)
    leaked = " ".join(outcome.leaks)
    assert documents
    assert all(one.text in leaked and one.title in leaked for one in documents)
