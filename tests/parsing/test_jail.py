"""Code that has taken over the parsing process gets nowhere, and a kernel without a part of the jail says so."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

import knowledge
from knowledge.parsing import describe_jail, jail
from knowledge.parsing.file_types import Format
from knowledge.parsing.wire import HEADER, DocumentDecoder, ParsingTask, ReadingDecoder, encode_task
from tests.waiting import WAIT_S

ROOT = Path(__file__).parents[2]
EIGHT = [
    "read_environment", "read_memory", "connect_by_tcp", "send_by_udp", "connect_to_unix_socket", "write_to_disk",
    "run_program", "signal_parent",
]  # fmt: skip
FURTHER = [
    "read_secret", "read_checkout", "fork", "trace_parent", "use_io_uring", "call_as_x32", "raise_limits",
    "change_mode", "start_thread",
]  # fmt: skip
REFUSED_BY_FILES = [
    "read_environment", "read_secret", "read_checkout", "read_memory", "connect_by_tcp", "write_to_disk", "run_program",
    "signal_parent", "trace_parent",
]  # fmt: skip
REFUSED_BY_CALLS = [
    "read_memory", "connect_by_tcp", "send_by_udp", "connect_to_unix_socket", "write_to_disk", "run_program",
    "signal_parent", "fork", "trace_parent", "use_io_uring", "call_as_x32", "raise_limits", "change_mode",
    "start_thread",
]  # fmt: skip
HARMFUL_WITHOUT = [
    "read_secret", "read_checkout", "connect_by_tcp", "send_by_udp", "connect_to_unix_socket", "run_program",
    "signal_parent", "fork", "start_thread",
]  # fmt: skip

DROP = (
    "import ctypes, platform, sys; import knowledge.parsing.jail as jail; "
    "jail._drop_capabilities(ctypes.CDLL(None, use_errno=True), jail._MACHINES[platform.machine()]); "
)
"""The superuser's capabilities are dropped first, because they read everything."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="no jail on this system"
)


class Place:
    """A folder with a secret and a unix socket, and servers that must not be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "secret").write_text("secret")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "socket"))
        self.unix.listen()
        for one in (self.tcp, self.udp, self.unix):
            one.setblocking(False)

    def was_reached(self) -> list[str]:
        """Return which of the servers somebody reached."""
        reached = []
        for name, receive in (("tcp", self.tcp.accept), ("udp", lambda: self.udp.recv(9)), ("unix", self.unix.accept)):
            try:
                receive()
            except BlockingIOError:
                continue
            reached.append(name)
        return reached

    def close(self) -> None:
        for one in (self.tcp, self.udp, self.unix):
            one.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path)
    yield opened
    opened.close()


def run_attempts(place: Place, layers: str, attempts: Sequence[str]) -> tuple[object, dict[str, str]]:
    """Return what the worker says that its kernel lacks, and what became of each attempt."""
    tasks = b"".join(
        encode_task(ParsingTask(Format.TEXT, name, None, 20.0), len(name)) + name.encode() for name in attempts
    )
    argv = [sys.executable, "-P", str(ROOT / "tests/parsing/escaping_worker.py"), layers, str(place.folder)]
    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*argv, str(place.port)], input=tasks, capture_output=True, timeout=60, check=True, env=environment, cwd=ROOT
    )
    answer, gaps = done.stdout, ReadingDecoder()
    answer = read_answer(answer, gaps)
    results = {}
    for name in attempts:
        decoder = DocumentDecoder()
        answer = read_answer(answer, decoder)
        results[name] = decoder.finish().sections[0].text
    assert not answer
    return gaps.finish(), results


def read_answer(data: bytes, decoder: DocumentDecoder | ReadingDecoder) -> bytes:
    """Decode the frames of one answer, and return the rest."""
    is_last = 0
    while not is_last:
        is_last, size_bytes = HEADER.unpack_from(data)
        decoder.decode(data[HEADER.size : HEADER.size + size_bytes])
        data = data[HEADER.size + size_bytes :]
    return data


def test_code_in_the_parser_gets_nowhere(place: Place) -> None:
    gaps, results = run_attempts(place, "files+calls", [*EIGHT, *FURTHER])
    if gaps:
        pytest.skip(f"this kernel: {gaps}")
    assert [name for name, result in results.items() if not result.startswith("refused")] == []
    assert place.was_reached() == []
    assert not (place.folder / "written").exists()


@pytest.mark.parametrize(
    ("layers", "refused", "gap"),
    [("files", REFUSED_BY_FILES, "no seccomp"), ("calls", REFUSED_BY_CALLS, "no Landlock")],
)
def test_each_part_of_the_jail_holds_alone_and_says_what_is_missing(
    place: Place, layers: str, refused: list[str], gap: str
) -> None:
    gaps, results = run_attempts(place, layers, refused)
    if not isinstance(gaps, list) or len(gaps) != 1:
        pytest.skip(f"this kernel: {gaps}")
    assert gaps[0].startswith(f"{gap} (Function not implemented)")
    assert [name for name, result in results.items() if not result.startswith("refused")] == []
    assert place.was_reached() == []


def test_the_attempts_succeed_without_a_jail(place: Place) -> None:
    gaps, results = run_attempts(place, "", HARMFUL_WITHOUT)
    assert len(json.dumps(gaps).split("no Landlock")) == len(json.dumps(gaps).split("no seccomp")) == 2
    assert [name for name, result in results.items() if not result.startswith("got")] == []
    assert place.was_reached() == ["tcp", "udp", "unix"]


@pytest.fixture
def stuck() -> Iterator[tuple[psutil.Process, psutil.Process, psutil.Process]]:
    """Start a process that stands for Kvasir, its worker, and the process of a document, in which code never ends."""
    start = (
        "import subprocess, sys; worker = subprocess.Popen(sys.argv[1:], stdin=-1, stdout=-1); "
        "worker.stdin.write(sys.stdin.buffer.read()); worker.stdin.flush(); worker.wait()"
    )
    worker = [sys.executable, "-P", str(ROOT / "tests/parsing/escaping_worker.py"), "files+calls", "/", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", start, *worker], stdin=-1, stderr=-1, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as kvasir:
        assert kvasir.stdin is not None
        assert kvasir.stderr is not None
        name = b"wait_forever"
        kvasir.stdin.write(encode_task(ParsingTask(Format.TEXT, "x", None, 1.0), len(name)) + name)
        kvasir.stdin.close()
        assert kvasir.stderr.read(1) == b"."
        processes = psutil.Process(kvasir.pid), *psutil.Process(kvasir.pid).children(recursive=True)
        yield processes
        for process in processes:
            if process.is_running():
                process.kill()


def test_code_in_the_parser_ends_with_kvasir(stuck: tuple[psutil.Process, psutil.Process, psutil.Process]) -> None:
    """It may ignore the alarm, and Kvasir may have been killed."""
    kvasir, worker, document = stuck
    kvasir.kill()
    assert psutil.wait_procs([worker, document], WAIT_S)[1] == []


DYING_WORKER = """\
import os, signal, time
from knowledge.parsing import worker
fork = os.fork
def fork_and_die():
    child = fork()
    if not child and os.environ.pop("SECOND", None):
        os.kill(os.getppid(), signal.SIGKILL)
        while os.getppid() == parent: time.sleep(0.01)
    os.environ["SECOND"] = "1"
    return child
parent, os.fork = os.getpid(), fork_and_die
worker.serve(0, 1)
"""
"""A worker that is killed right after it has forked the process of a document."""


def test_the_process_of_a_document_ends_if_the_worker_died_before_it_began() -> None:
    """It would keep the worker's pipes, and Kvasir would wait for their end for good."""
    with subprocess.Popen([sys.executable, "-c", DYING_WORKER], stdin=-1, stdout=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_task(ParsingTask(Format.TEXT, "x", None, 1.0), 1))
        process.stdin.flush()
        reading = threading.Thread(target=process.stdout.read, daemon=True)
        reading.start()
        reading.join(WAIT_S)
        is_open = reading.is_alive()
        process.stdin.close()
        assert not is_open


def test_nobody_of_the_same_user_reads_a_document_in_its_process(
    stuck: tuple[psutil.Process, psutil.Process, psutil.Process],
) -> None:
    assert find_readable(stuck[2].pid) == ["stat"]


def test_python_stays_readable_where_kvasir_is_installed_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads further modules of its own, for example a decoder of Chinese."""
    modules = Path(os.__file__).parent
    monkeypatch.setattr(knowledge, "__file__", str(modules / "site-packages/knowledge/__init__.py"))
    assert modules in jail.find_readable_paths()


def test_a_checkout_among_native_libraries_is_not_readable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "lib/kvasir/knowledge"
    package.mkdir(parents=True)
    monkeypatch.setattr(knowledge, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(jail, "_SYSTEM_FILES", (str(tmp_path / "lib"), str(tmp_path)))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "lib"))
    found = jail.find_readable_paths()
    assert package in found
    assert [path for path in found if path in package.parents] == []


async def test_the_jail_describes_itself() -> None:
    gaps = await describe_jail()
    assert all(gap.startswith(("no Landlock", "no seccomp")) for gap in gaps)


@pytest.mark.parametrize("is_protected", [False, True])
def test_nobody_of_the_same_user_reads_the_memory_or_environment_of_kvasir(*, is_protected: bool) -> None:
    protect = "import bot.__main__ as kvasir; kvasir._protect_memory(); " if is_protected else ""
    with subprocess.Popen(
        [sys.executable, "-c", f"{DROP}{protect}print(1, flush=True); input()"], stdin=-1, stdout=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        readable = find_readable(process.pid)
        process.communicate("\n")
    assert readable == (["stat"] if is_protected else ["environ", "maps", "stat"])


def find_readable(pid: int) -> list[str]:
    """Return which files of a process another one of its user reads."""
    look = f"{DROP} open(f'/proc/{{sys.argv[1]}}/{{sys.argv[2]}}', 'rb').read(9)"
    return [
        name
        for name in ("environ", "maps", "stat")
        if subprocess.run([sys.executable, "-c", look, str(pid), name], check=False).returncode == 0
    ]
