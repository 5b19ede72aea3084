"""What all processes of an installation know of an embedder, on both kinds of database."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from knowledge.embedding import explain_uncalibrated
from knowledge.embedding.calibration import FITTING_VERSION, OUTDATED, UNCALIBRATED
from knowledge.embedding.fitting import SPANS, load_texts
from knowledge.embedding.local_e5.calibration import CALIBRATION
from knowledge.embedding.local_e5.files import IDENTITY
from knowledge.sync.manifest.embedder_records import EmbedderRecords
from knowledge.sync.manifest.manifest import Manifest, open_manifest
from knowledge.sync.manifest.tables import embedders


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def processes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Manifest, Manifest]]:
    """Give the manifests of two processes on one database."""
    is_server = request.param == "postgresql"
    url = request.getfixturevalue("empty_postgres") if is_server else f"sqlite:///{tmp_path}/kvasir.db"
    one, other = await open_manifest(url), await open_manifest(url)
    yield one, other
    await one.close()
    await other.close()


async def test_the_first_vector_stays(processes: tuple[Manifest, Manifest]) -> None:
    records = [EmbedderRecords(process.database, "") for process in processes]
    assert await records[0].load_canary("http:1") is None
    vectors = [np.full(4, n, np.float32) for n in (1.0, 2.0)]
    stored = await asyncio.gather(*(one.add_canary("http:1", v) for one, v in zip(records, vectors, strict=True)))
    assert np.array_equal(stored[0], stored[1]), "both processes compare with the same one"
    for one in records:
        assert np.array_equal(await one.load_canary("http:1"), stored[0])
    elsewhere = EmbedderRecords(processes[0].database, "elsewhere")
    assert await elsewhere.load_canary("http:1") is None


async def test_constants_are_found_by_all(processes: tuple[Manifest, Manifest]) -> None:
    records, others = (EmbedderRecords(process.database, "") for process in processes)
    assert await records.load_calibration("http:1") is UNCALIBRATED
    assert await records.load_calibration(IDENTITY) is CALIBRATION
    vector = np.ones(4, np.float32)
    await records.add_canary("http:1", vector)
    for identity in ("http:1", "without a vector"):
        await records.save_calibration(identity, CALIBRATION)
        assert asdict(await others.load_calibration(identity)) == asdict(CALIBRATION)
    assert np.array_equal(await others.load_canary("http:1"), vector)
    assert await others.load_canary("without a vector") is None
    assert await EmbedderRecords(processes[0].database, "elsewhere").load_calibration("http:1") is UNCALIBRATED


@pytest.mark.parametrize("version", [None, FITTING_VERSION - 1, FITTING_VERSION + 1, "x"])
async def test_constants_of_another_version_are_refused(processes: tuple[Manifest, Manifest], version: Any) -> None:
    """None is what the versions before this number stored: the constants alone."""
    records = EmbedderRecords(processes[0].database, "")
    await records.save_calibration("http:1", CALIBRATION)
    constants = asdict(CALIBRATION)
    text = json.dumps(constants if version is None else [version, constants])
    await records.database.write(lambda connection: connection.execute(update(embedders).values(calibration=text)))
    loaded = await records.load_calibration("http:1")
    assert (loaded is OUTDATED, loaded) == (True, UNCALIBRATED)
    explanation = explain_uncalibrated("http:1", loaded)
    assert "Another version of Kvasir measured last with the embedder http:1" in explanation
    assert "Run `kvasir calibrate`" in explanation
    await records.save_calibration("http:1", CALIBRATION)
    assert explain_uncalibrated("http:1", await records.load_calibration("http:1")) == ""


def test_what_fits_constants_has_the_version_that_says_so() -> None:
    """If one of these changes, increase ``FITTING_VERSION``, so that stored constants are fitted again."""
    made_with = json.dumps([asdict(CALIBRATION), asdict(SPANS), list(load_texts())], sort_keys=True)
    assert (FITTING_VERSION, hashlib.sha256(made_with.encode()).hexdigest()[:12]) == (1, "ec88999165bb")
