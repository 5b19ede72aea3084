"""Who is alive: boot, PID namespace and start decide, not the host's name and the number of a process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bot.storage.processes import is_dead, is_visible, name_this_process
from bot.storage.replicas import Replicas, list_local_replicas
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from tests.slack.bot_process import ROOT

NAME = "from bot.storage.processes import name_this_process as name; print(name(), flush=True); input()"
IS_DEAD = "import sys; from bot.storage.processes import is_dead; print(is_dead(sys.argv[1]))"
CLAIM = """
import asyncio, sys
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage

async def main():
    async with open_ledger(sys.argv[1]) as ledger:
        await ledger.claim_question(QuestionMessage(QuestionKey("T1", "C1", "1.1"), "1.1", "U1", "how?"))
        print("claimed", flush=True)
        await asyncio.to_thread(input)

asyncio.run(main())
"""


def run_python(*arguments: str, isolated: bool = False) -> subprocess.Popen[str]:
    """Run Python, in a PID namespace of its own if ``isolated``, but on the host of the same name."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if isolated else []
    return subprocess.Popen(
        [*unshare, sys.executable, "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    process = run_python(NAME)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def needs_namespaces() -> None:
    """Skip a test where the kernel gives this account no PID namespace."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare, which makes a PID namespace")
    tried = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no PID namespace can be made: {tried.stderr.decode().strip()}")


def test_ended_processes_are_dead(child: subprocess.Popen[str]) -> None:
    owner = read_line(child)
    assert is_visible(owner)
    assert not is_dead(owner)
    assert not is_dead(name_this_process())
    host, pid, *others, ticks = owner.split("|")
    assert is_dead("|".join((host, pid, *others, str(int(ticks) - 1)))), "another process has the number now"
    assert not is_dead("|".join(("renamed", pid, *others, ticks)))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(owner), "its parent has not waited for it"
    child.communicate()
    assert is_dead(owner)


def test_processes_of_other_machines_and_boots_are_not_known_to_be_dead() -> None:
    host, _, started, nonce, boot, space, ticks = name_this_process().split("|")
    gone = "4194305"
    assert is_dead(f"{host}|{gone}|{started}|{nonce}|{boot}|{space}|{ticks}")
    for other in (
        (host, gone, started, nonce, "a boot before", space, ticks),
        (host, gone, started, nonce, boot, "1", ticks),
        (host, gone, started, nonce, boot),
        (host, gone, started, nonce, "", "", ""),
        ("nonsense",),
        ("",),
    ):
        assert not is_dead("|".join(other))
        assert not is_visible("|".join(other))


def test_names_of_an_older_kvasir_are_left_to_their_leases() -> None:
    """The container of an older Kvasir may have this host's name."""
    host = name_this_process().split("|")[0]
    assert not is_dead(f"{host}|4194305|1795758548.12|deadbeef")


def test_an_older_kvasir_reads_the_start_of_a_process() -> None:
    """During an update, it would take the turns of processes that it holds for dead."""
    _, pid, started, *_ = name_this_process().split("|")
    assert abs(psutil.Process(int(pid)).create_time() - float(started)) < 2.0


def test_a_name_fits_into_its_column() -> None:
    assert len(name_this_process()) - len(os.uname().nodename) + 64 < 200


@pytest.mark.slow
@pytest.mark.usefixtures("needs_namespaces")
def test_the_same_hostname_in_another_pid_namespace_is_another_machine(child: subprocess.Popen[str]) -> None:
    inside = run_python(NAME, isolated=True)
    try:
        owner = read_line(inside)
        assert owner.split("|")[0] == name_this_process().split("|")[0]
        assert not is_dead(owner)
        assert not is_visible(owner)
    finally:
        inside.communicate("\n")
    assert not is_dead(owner), "nobody here can know; its lease ends"
    outside = read_line(child)
    asked, _ = run_python(IS_DEAD, outside, isolated=True).communicate()
    assert asked.strip() == "False"


@pytest.mark.slow
@pytest.mark.usefixtures("needs_namespaces")
async def test_no_turn_of_another_pid_namespace_is_stolen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    async with open_ledger(url) as ledger:
        inside = run_python(CLAIM, url, isolated=True)
        try:
            assert read_line(inside) == "claimed"
            for _ in range(3):
                assert await ledger.list_unfinished() == []
                assert await ledger.list_withdrawn() == []
        finally:
            inside.communicate("\n")
        key = QuestionKey("T1", "C1", "1.1")
        assert [turn.message for turn in await ledger.list_unfinished()] == [QuestionMessage(key, "1.1", "U1", "how?")]


async def test_only_processes_of_this_machine_are_local(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'kvasir.db'}") as ledger:
        ours = name_this_process()
        host = ours.split("|")[0]
        for name in (ours, f"{host}|1|1.0|x", f"{host}|1|1|x|another boot|1|1"):
            await Replicas(ledger.database, "T1", "1", name=name).record_heartbeat()
        assert [one.name for one in await list_local_replicas(ledger.database)] == [ours]
