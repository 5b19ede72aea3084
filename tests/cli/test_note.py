"""``kvasir note``: transcripts one by one, as Markdown and as JSON."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from bot.audit.chain import list_chains, parse_line
from bot.profiles.registry import SHIPPED
from tests.e2e.conftest import Place
from tests.engine.fakes import fake_sglang
from tests.soak.parrot import Parrot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


async def test_a_file_that_is_no_transcript_waits_for_no_engine(place: Place) -> None:
    """The option for the configuration may also come before the command."""
    (place.folder / "kvasir.toml").rename(place.folder / "other.toml")
    (place.folder / "letter.txt").write_text("A letter to nobody.\n")
    asked: list[object] = []
    server = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    async with server:
        environ = {"KVASIR_ENGINE_URL": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}
        command = ("--config", "other.toml", "note", "visit-note", "letter.txt", "none.txt")
        status, out, err = await place.command(*command, **environ)
    assert (status, out, asked) == (1, "", [])
    assert "letter.txt: This is no transcript" in err
    assert "none.txt: No such file" in err


async def test_notes_are_written_one_by_one(place: Place) -> None:
    """The model repeats what it reads, so that its sentences are supported."""
    shutil.copy(SHIPPED / "visit-note" / "sample.txt", place.folder / "visit.txt")
    (place.folder / "letter.txt").write_text("A letter to nobody.\n")
    async with fake_sglang() as engine:
        Parrot(engine)
        environ = {"KVASIR_ENGINE_URL": engine.url}
        status, out, err = await place.command("note", "visit-note", "letter.txt", "visit.txt", **environ)
        assert (status, out.startswith("# Note of the visit\n\n## History\n\n- ")) == (1, True), err
        assert "letter.txt: This is no transcript" in err
        assert "visit.txt: The note is a draft" in err
        status, out, err = await place.command("note", "visit-note", "visit.txt", "--json", **environ)
        assert status == 0, err
        note = json.loads(out)
        assert (note["file"], len(note["sections"])) == ("visit.txt", 4)
        assert [line for one in note["sections"][0]["sentences"] for line in one["lines"]]
    entries = [
        parse_line(line) for path in list_chains(place.home / "audit") for line in path.read_bytes().splitlines()
    ]
    recorded = [one["profile"] for one in entries if one and one["event"] == "extraction"]
    assert recorded == ["visit-note"] * 2
