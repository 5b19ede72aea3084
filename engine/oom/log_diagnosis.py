"""Pure: find out from the log and the exit status of SGLang 0.5.23 why a run ended.

The patterns are messages of SGLang and torch. ``tests/engine/oom/tails/`` has the ends of the logs they come from.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from engine.notes import EngineNote, NoteCode
from engine.oom.log_tail import READY_LINE, TIMESTAMP

SIGKILL_STATUS = 128 + signal.SIGKILL


class OomCause(StrEnum):
    """How memory ran out. Users read the values, and files of earlier releases contain them."""

    WEIGHTS = NoteCode.OOM_WEIGHTS.value
    NO_ROOM = NoteCode.OOM_NO_ROOM.value
    POOL = NoteCode.OOM_POOL.value
    CAPTURE = NoteCode.OOM_CAPTURE.value
    PREFILL = NoteCode.OOM_PREFILL.value
    DECODE = NoteCode.OOM_DECODE.value
    HOST = NoteCode.OOM_HOST.value


@dataclass(frozen=True, slots=True)
class LogObservations:
    """What the log of a run contained so far, beyond its last lines."""

    has_loaded: bool = False
    is_capturing: bool = False
    is_ready: bool = False
    memory_fraction: float | None = None
    chunk_tokens: int | None = None
    running_requests: int | None = None
    kv_tokens: int | None = None
    """The KV cache of all requests together, in tokens."""
    retractions: int = 0
    """How often SGLang put requests back because the KV cache was full."""

    def add_line(self, line: str) -> LogObservations:
        """Return the observations after one more line."""
        if "server_args=" in line:
            return replace(self, memory_fraction=_find_number(_FRACTION, line))
        if (tokens := _find_number(_TOKENS, line)) is not None:
            chunk, running = _find_number(_CHUNK, line), _find_number(_RUNNING, line)
            return replace(self, kv_tokens=int(tokens), chunk_tokens=_to_int(chunk), running_requests=_to_int(running))
        if "KV cache pool is full. Retract requests" in line:
            return replace(self, retractions=self.retractions + 1)
        return replace(
            self,
            has_loaded=self.has_loaded or "Load weight end" in line,
            is_capturing=self.is_capturing or _CAPTURE_BEGINS.search(line) is not None,
            is_ready=self.is_ready or READY_LINE in line,
        )


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of one run, with the last lines of its log, the oldest first."""

    lines: Sequence[str]
    exit_status: int | None
    """The exit status, 128 + the signal; None if Kvasir ended the process (no response, a timeout)."""
    observations: LogObservations = field(default_factory=LogObservations)
    oom_kills: int | None = None
    """How many processes the kernel killed for memory during the run; None if unknown."""


@dataclass(frozen=True, slots=True)
class OomFinding:
    """The run ended for lack of memory."""

    cause: OomCause
    line: str
    """The line of the log that says so; "" if only the kernel does."""
    fraction: float | None = None
    """The memory fraction that SGLang's message says is too low."""


RestartOutcome = Literal["again", "hopeless", "damaged"]


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """Another problem that the log names and a person can fix."""

    problem: NoteCode
    outcome: RestartOutcome
    """Whether another start may succeed (again), never succeeds, or succeeds after all files are verified (damaged)."""


def find_oom(end: RunEnd) -> OomFinding | None:
    """Return how memory ran out; None if it did not, or only one request was too large."""
    lines = [TIMESTAMP.sub("", line).strip() for line in end.lines]
    for line in reversed(lines):
        if _ONE_REQUEST in line:
            continue
        for pattern, cause in _CAUSE_PATTERNS:
            if pattern.search(line):
                return OomFinding(cause, line, _find_number(_SUGGESTED, line))
    for line in reversed(lines):
        if _OUT_OF_MEMORY.search(line):
            return OomFinding(_infer_cause(end.observations, lines), line)
    return _find_host_oom(end, lines)


def describe_exit(end: RunEnd) -> EngineNote:
    """Return how the process ended, as a part of a sentence."""
    if end.exit_status == SIGKILL_STATUS and not any(_KILLS_ITSELF in line for line in end.lines):
        return NoteCode.KILLED.fill()
    return NoteCode.EXITED.fill(status=str(end.exit_status))


def is_stuck_line(line: str) -> bool:
    """Return whether the server cannot work any more after this line, although its process stays."""
    return _NO_PORT in line


def find_known_problem(lines: Sequence[str]) -> KnownProblem | None:
    """Return the problem that the newest matching line names; None if there is none."""
    for line in reversed(lines):
        for pattern, problem, outcome in _KNOWN_PROBLEMS:
            if pattern.search(line):
                return KnownProblem(problem, outcome)
    return None


_FRACTION = re.compile(r"mem_fraction_static'?[=:] ?([0-9.]+)")
_TOKENS = re.compile(r"\bmax_total_num_tokens=(\d+), ")
_CHUNK = re.compile(r"\bchunked_prefill_size=(\d+)")
_RUNNING = re.compile(r"\bmax_running_requests=(\d+)")
_SUGGESTED = re.compile(r"Raise --mem-fraction-static above ([0-9.]+)")
_CAPTURE_BEGINS = re.compile(r"Capture .{0,60}\bgraph.{0,20} begin\b", re.IGNORECASE)
_ONE_REQUEST = "Out of memory even after retracting all other requests"
"""SGLang fails this one request and goes on."""

_CAUSE_PATTERNS: Sequence[tuple[re.Pattern[str], OomCause]] = (
    (re.compile(r"Loaded weights leave no GPU memory for the KV cache"), OomCause.NO_ROOM),
    (re.compile(r"Not enough memory\. Please try to increase --mem-fraction-static"), OomCause.NO_ROOM),
    (
        re.compile(r"Capture (?:cuda|cpu) graph failed: .*(?:out of memory|allocate memory)"),
        OomCause.CAPTURE,
    ),
    (re.compile(r"\bPrefill out of memory\."), OomCause.PREFILL),
    (re.compile(r"\bDecode out of memory\.|\balloc_req_slots runs out of memory\."), OomCause.DECODE),
)
_OUT_OF_MEMORY = re.compile(
    r"(?:CUDA|HIP|XPU)(?: error:)? out of memory|OutOfMemoryError|\[CUDA\]: out of memory|std::bad_alloc|"
    r"^MemoryError\b|DefaultCPUAllocator: (?:can't allocate|not enough) memory|Cannot allocate memory|"
    r"\bOut of memory\. Try to lower your batch size\."
)
"""The last pattern is SGLang's message for prompts and answers where a page has one token, the default."""
_KILLED_CHILD = re.compile(r"scheduler died during initialization \(exit code: -9\)|crashed with exit code -9\b")
_NO_PORT = "error while attempting to bind on address"
_KILLS_ITSELF = "kill_process_tree called"
_IN_DECODE = re.compile(r"forward_decode|prepare_for_decode|update_running_batch")

_KNOWN_PROBLEMS: Sequence[tuple[re.Pattern[str], NoteCode, RestartOutcome]] = (
    (re.compile(r"[Aa]ddress already in use"), NoteCode.PORT_TAKEN, "again"),
    (re.compile(r"No space left on device|Disk quota exceeded"), NoteCode.DISK_FULL, "again"),
    (
        re.compile(r"SafetensorError|Error while deserializing header|PytorchStreamReader failed"),
        NoteCode.WEIGHTS_DAMAGED,
        "damaged",
    ),
    (
        re.compile(r"not a valid model identifier|RepositoryNotFoundError|Repository Not Found|Unrecognized model in"),
        NoteCode.MODEL_NOT_FOUND,
        "damaged",
    ),
    (
        re.compile(r"does not recognize this architecture|Model architectures .* are not supported"),
        NoteCode.UNKNOWN_ARCHITECTURE,
        "hopeless",
    ),
    (
        re.compile(r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for"),
        NoteCode.NO_TOKENIZER,
        "damaged",
    ),
    (
        re.compile(r"StrictDataclassClassValidationError"),
        NoteCode.CONFIG_CONTRADICTS,
        "damaged",
    ),
    (
        re.compile(r"GatedRepoError|Access to model .* is restricted"),
        NoteCode.GATED,
        "hopeless",
    ),
    (
        re.compile(r"couldn't connect to|LocalEntryNotFoundError|OfflineModeIsEnabled"),
        NoteCode.HUB_UNREACHABLE,
        "again",
    ),
    (
        re.compile(r"Error: (?:The NVIDIA driver on your system is too old|Found no NVIDIA driver)"),
        NoteCode.DRIVER_UNUSABLE,
        "hopeless",
    ),
    (
        re.compile(r"no kernel image is available for execution on the device"),
        NoteCode.NO_KERNELS,
        "hopeless",
    ),
    (
        re.compile(r"No module named '?sglang"),
        NoteCode.SGLANG_MISSING,
        "hopeless",
    ),
)


def _infer_cause(observations: LogObservations, lines: Sequence[str]) -> OomCause:
    """Return the cause of a failed allocation that does not name its purpose."""
    if observations.is_ready:
        return OomCause.DECODE if any(_IN_DECODE.search(line) for line in lines) else OomCause.PREFILL
    if not observations.has_loaded:
        return OomCause.WEIGHTS
    if observations.kv_tokens is not None:  # then follows the warm-up, which prefills a prompt
        return OomCause.PREFILL
    return OomCause.CAPTURE if observations.is_capturing else OomCause.POOL


def _find_host_oom(end: RunEnd, lines: Sequence[str]) -> OomFinding | None:
    """Find out whether the kernel killed the process for lack of memory; a ``kill -9`` by a person is not that.

    If a child fails, the server kills itself with all its processes. Then its own status says nothing.
    """
    line = next((line for line in reversed(lines) if _KILLED_CHILD.search(line)), "")
    killed = bool(line) or (end.exit_status == SIGKILL_STATUS and not any(_KILLS_ITSELF in line for line in lines))
    certain = bool(end.oom_kills) if end.oom_kills is not None else not end.observations.is_ready
    return OomFinding(OomCause.HOST, line) if killed and certain else None


def _find_number(pattern: re.Pattern[str], line: str) -> float | None:
    found = pattern.search(line)
    return float(found[1].rstrip(".")) if found is not None else None


def _to_int(number: float | None) -> int | None:
    return None if number is None else int(number)
