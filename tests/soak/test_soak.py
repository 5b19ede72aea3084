"""Random worlds: what Kvasir posts in them, compared with an oracle of its own. ``make soak`` asks 10,000 questions."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.soak.generate import FEATURES, Generator
from tests.soak.history import History, Outcome, make_history, run_history
from tests.soak.model import Ask, Feature, World
from tests.soak.oracle import Oracle
from tests.soak.posted import find_forbidden
from tests.soak.shrink import shrink
from tests.soak.stage import open_stage
from tests.store_servers import store_server

FOLDER = Path(__file__).parent
CHANNELS: tuple[Feature, ...] = ("slack",)
WAYS: tuple[Literal["question", "search"], ...] = ("question", "search")


@pytest.fixture(params=["lancedb", "weaviate"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """Return the variables that choose a store."""
    with store_server(request.param, tmp_path) as variables:
        yield {"KVASIR_STORE": request.param, **variables}


def check(outcome: Outcome) -> None:
    """Check that nothing leaked, that nobody met silence, and that what is allowed was found."""
    assert outcome.leaks == []
    assert outcome.silences == []
    assert outcome.found >= 0.99 * outcome.allowed, outcome.misses


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_random_world_shows_nobody_what_they_may_not_see(store: Mapping[str, str], tmp_path: Path) -> None:
    """The last changes send no event and are not synced, so they count after a minute.

    It takes two minutes: thirty questions in a whole Kvasir, with syncs, and a minute until rights count.
    """
    steps = make_history(1, 30, presses=30, late=True, features=FEATURES)
    outcome = await run_history(1, steps, tmp_path / "world", store, features=FEATURES)
    assert outcome.questions > 18
    check(outcome)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_buttons_show_nobody_what_they_may_not_see(tmp_path: Path) -> None:
    """Extracts have the buttons that show passages. Other people press them, also after changes."""
    steps = [
        Ask(one.person, one.room, one.document, one.follow_up, engine=False) if isinstance(one, Ask) else one
        for one in make_history(2, 30, presses=120, late=False)
    ]
    outcome = await run_history(2, steps, tmp_path, {})
    assert outcome.probes > 70
    check(outcome)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_source_that_is_open_by_mistake_is_seen(tmp_path: Path) -> None:
    """The configuration opens a source that the world closes, and the comparison finds every kind of secret of it."""
    opened, world = Generator(3, ()).make_world(), Generator(3, ()).make_world()
    name = next(one.name for one in world.places.values() if one.kind == "folder")
    opened.places[name].readers = [("world", "")]
    world.places[name].readers = [("person", "U0OWNER001")]
    documents = [one for one in world.documents.values() if one.place == name]
    room = next(room for room in world.rooms.values() if room.kind == "im" and "MEMBE" in room.id)
    steps = [Ask(next(iter(room.members)), room.id, one.number) for one in documents]
    async with open_stage(opened, tmp_path, {}) as stage:
        stage.world = world
        outcome = await History(stage).run(steps)
    leaked = " ".join(outcome.leaks)
    assert all(one.text in leaked and one.title in leaked for one in documents)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_guest_whom_readers_name_sees_nothing_that_the_source_opens_to_members(tmp_path: Path) -> None:
    """Confluence opens a space to its employees, and Slack a channel to full members. Both sources admit guests."""
    world = Generator(11, CHANNELS).make_world()
    for place in world.places.values():
        if place.kind in {"wiki", "slack"}:
            place.readers = [("guests", "")]
    room = next(room for room in world.rooms.values() if room.kind == "im" and "GUEST" in room.id)
    documents = [one for one in world.documents.values() if world.places[one.place].kind in {"wiki", "slack"}]
    steps = [Ask(next(iter(room.members)), room.id, one.number, way=way) for one in documents for way in WAYS]
    async with open_stage(world, tmp_path, {}) as stage:
        check(await History(stage).run(steps))


def make_room_world() -> tuple[World, str]:
    world = Generator(5).make_world()
    return world, next(one.id for one in world.rooms.values() if one.kind == "public")


def test_texts_titles_names_and_counts_are_compared() -> None:
    world, room = make_room_world()
    closed = [one for one in world.documents.values() if not Oracle(world).may_show(one, world.rooms[room])]
    for document in closed:
        for secret in document.secrets:
            assert find_forbidden(world, Oracle(world), f"It says {secret}.", world.rooms[room], None)
    open_ = next(one for one in world.documents.values() if one not in closed)
    assert find_forbidden(world, Oracle(world), f"{open_.text} {open_.place}", world.rooms[room], None) == []
    counted = f"{open_.place}: 99 documents"
    assert find_forbidden(world, Oracle(world), counted, world.rooms[room], None) != []
    other = json.dumps(f"*{open_.place}*: listed\n• *another*: 99 documents")
    assert find_forbidden(world, Oracle(world), other, world.rooms[room], None) == []


def test_the_oracle_imports_no_code_of_kvasir() -> None:
    for name in ("model", "oracle", "places", "generate", "changes", "shrink"):
        tree = ast.parse((FOLDER / f"{name}.py").read_text())
        imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imported += [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
        assert [one for one in imported if one.split(".")[0] in {"bot", "engine", "knowledge"}] == []


def test_equal_seeds_make_equal_histories() -> None:
    assert make_history(7, 40, presses=20, late=True) == make_history(7, 40, presses=20, late=True)
    assert make_history(7, 40, presses=20, late=True) != make_history(8, 40, presses=20, late=True)


async def test_a_failing_history_becomes_short() -> None:
    async def still_fails(steps: Sequence[int]) -> bool:
        return {3, 17} <= set(steps)

    assert sorted(await shrink(range(40), still_fails, attempts=100)) == [3, 17]
