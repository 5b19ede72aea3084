"""Syncs on a real Ray cluster of two nodes with one core each give the same rows as on this machine."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray_cluster.real_cluster import RayCluster, finish_sync, read_index, run_cluster, start_sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TOPICS = ("parental leave", "travel costs", "the build server", "on-call duty", "security training", "office keys")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with run_cluster("one", "two") as running:
        yield running


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(24):
        topic = TOPICS[n % len(TOPICS)]
        parts = "".join(
            f"## Part {part} of {n}\n\nRule {n}.{part} says what holds for {topic} in team {n * 7 + part}. "
            f"{'Ask your lead in writing, and wait for the answer. ' * (2 + part)}\n\n"
            for part in range(6)
        )
        (folder / f"rules-{n}.md").write_text(f"# Rules about {topic} {n}\n\n{parts}", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    return folder


async def test_killed_nodes_lose_nothing(cluster: RayCluster, docs: Path, tmp_path: Path) -> None:
    """It takes over a minute, because it syncs twice, and four nodes of Ray start."""
    here = await finish_sync(await start_sync(cluster, tmp_path / "here", docs, on_ray=False))
    expected, drift = await read_index(tmp_path / "here", docs)
    assert (len(expected), drift) == (here["chunks_written"], 0)
    assert here["failed"] == 1

    there = await start_sync(cluster, tmp_path / "there", docs, on_ray=True)
    assert there.stdout is not None
    await there.stdout.readline()  # the workers have started
    await asyncio.to_thread(cluster.kill_node, "one")
    await asyncio.to_thread(cluster.add_node, "three")
    await asyncio.to_thread(cluster.kill_node, "two")
    counts = await finish_sync(there)
    assert (counts["error"], counts["added"], counts["failures"]) == (None, 24, here["failures"])
    rows, drift = await read_index(tmp_path / "there", docs)
    assert drift == 0
    assert rows == expected
    cluster.add_node("four")


def run_kvasir(cluster: RayCluster, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n', encoding="utf-8")
    return subprocess.run(
        [cluster.python, "-m", "bot", "sync", "--on", cluster.address, "--json"],
        cwd=folder,
        env={**cluster.variables, "KVASIR_HOME": str(folder / "home"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_syncs_on_the_cluster_alone(cluster: RayCluster, docs: Path, tmp_path: Path) -> None:
    for path in (docs / "broken.pdf", *sorted(docs.glob("*.md"))[2:]):
        path.unlink()
    done = run_kvasir(cluster, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"]["docs"]["added"] == 2
    assert cluster.token not in done.stdout + done.stderr


def test_a_wrong_token_is_refused(cluster: RayCluster, docs: Path, tmp_path: Path) -> None:
    del docs
    done = run_kvasir(cluster, tmp_path, RAY_AUTH_TOKEN="f" * 64)
    assert done.returncode == 1
    assert "RAY_AUTH_TOKEN is the token of the cluster" in done.stderr
    assert "f" * 64 not in done.stderr
