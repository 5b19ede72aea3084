"""``kvasir extract``: one file and several, as a table, as JSON and as comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest

from bot.audit.chain import list_chains, parse_line
from bot.profiles.registry import SHIPPED
from tests.e2e.conftest import Place
from tests.engine.fakes import fake_sglang

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


@pytest.fixture
def place(place: Place) -> Place:
    shutil.copy(SHIPPED / "contract" / "sample.md", place.folder / "supply.md")
    (place.folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    return place


async def test_a_batch_goes_on_after_a_broken_file(place: Place) -> None:
    async with fake_sglang() as engine:
        environ = {"KVASIR_ENGINE_URL": engine.url}
        files = ("supply.md", "broken.pdf", "missing.md", "supply.md")
        status, out, err = await place.command("extract", "contract", *files, "--json", **environ)
        assert status == 1, err
        lines = [json.loads(line) for line in out.splitlines()]
        assert [one["file"] for one in lines] == list(files)
        assert [("error" in one) for one in lines] == [False, True, True, False]
        (law,) = lines[0]["values"]["governing_law"]
        assert law["text"] == "This Agreement shall be\ngoverned by the laws of Norway."
        passages = {one["n"]: one["text"] for one in lines[0]["passages"]}
        assert passages[law["passage"]][law["start"] : law["end"]] == law["text"]

        status, out, err = await place.command("extract", "contract", "supply.md", "--csv", **environ)
        rows = list(csv.DictReader(io.StringIO(out)))
        assert (status, {row["file"] for row in rows}) == (0, {"supply.md"})
        assert [row["normalised"] for row in rows if row["field"] == "effective_date"] == ["2025-04-01"]
        assert "Check each at its place" in err
        shutil.copy(place.folder / "supply.md", place.folder / "=1+1.md")
        _, out, _ = await place.command("extract", "contract", "=1+1.md", "--csv", **environ)
        assert {row["file"] for row in csv.DictReader(io.StringIO(out))} == {"'=1+1.md"}

        status, out, _ = await place.command("extract", "contract", "supply.md", **environ)
        assert "Agreement date" in out
        assert "March 3, 2025 = 2025-03-03  [passage 1]" in out
        assert engine.bodies == [], "rules know all fields, and the model is small"
    entries = [
        parse_line(line) for path in list_chains(place.home / "audit") for line in path.read_bytes().splitlines()
    ]
    assert [one["profile"] for one in entries if one and one["event"] == "extraction"] == ["contract"] * 5
    assert "supply.md" not in json.dumps([one for one in entries if one and one["event"] == "extraction"])


async def test_a_wrong_profile_names_the_next_step(place: Place) -> None:
    status, _, err = await place.command("extract", "contrct", "supply.md")
    assert (status, "Did you mean “contract”" in err) == (1, True)
