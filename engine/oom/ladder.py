"""Pure: what memory ran out for, and what was tried before -> the next rung down, or that none is left.

A rung is the part of a plan that memory depends on. Each step down changes one thing, in the order that SGLang 0.5.23's
own messages advise; a rung is refused if an earlier failure says that it fails too (``fails_too``). So the ladder never
repeats a rung, never raises what failed, and ends: every step lowers something on a finite scale, or raises the memory
fraction towards a bound that failures only tighten; and there are at most ``MOST_FALLS`` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.oom.log_diagnosis import Cause, Finding, Observed

MOST_FALLS = 24
"""So many failures at one machine, and somebody should look."""
_HIGHEST_FRACTION, _LOWEST_FRACTION = 0.95, 0.3
_UP, _DOWN = 0.01, 0.04
_CHUNKS = (8192, 4096, 2048, 1024, 512)
_LEAST_GRAPHS = 4
_LEAST_TOKENS = 2048
_LEAST_CONTEXT = 4096
_MANY_REQUESTS = 64
"""What running requests and captured batches begin from where nobody has said how many there are."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What memory depends on; None leaves a value to SGLang, which then takes at most as much as it can."""

    weights: str
    """Names a model at a precision."""
    device: str
    context_tokens: int
    memory_fraction: float | None = None
    chunk_tokens: int | None = None
    decode_batch: int | None = None
    running_requests: int | None = None
    total_tokens: int | None = None
    kv_dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class Fall:
    """A rung that failed, with the values that SGLang chose where the rung left them to it."""

    rung: Rung
    cause: Cause
    why: str
    """The sentence that was told."""
    retried: bool = False
    """Whether it was tried again at a quiet hour, and failed again."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next rung, and the sentence why."""

    rung: Rung
    why: str


@dataclass(frozen=True, slots=True)
class NoRungLeft:
    """Nothing more can be asked less of."""

    why: str


def as_run(rung: Rung, observed: Observed) -> Rung:
    """Return the rung with what SGLang chose itself, as its log said."""
    return replace(
        rung,
        memory_fraction=rung.memory_fraction if rung.memory_fraction is not None else observed.memory_fraction,
        chunk_tokens=rung.chunk_tokens or observed.chunk_tokens,
        running_requests=rung.running_requests or observed.running_requests,
        total_tokens=min(filter(None, (rung.total_tokens, observed.kv_tokens)), default=None),
    )


def next_rung(failed: Rung, found: Finding, falls: Sequence[Fall], lower: Sequence[Rung]) -> Step | NoRungLeft:
    """Return the rung under ``failed``, which is as it was run (``as_run``).

    ``falls`` are the earlier failures on this machine, ``lower`` the plans with lighter weights, the best first.
    """
    known = (*falls, Fall(failed, found.cause, ""))
    if len(known) <= MOST_FALLS:
        for move in _MOVES[found.cause]:
            rung = move(failed, found)
            if rung is not None and not any(fails_too(rung, fall) for fall in known):
                return Step(rung, f"{_what(found)}: {_change(failed, rung)}")
        tried = {fall.rung.weights for fall in known}
        lighter = next((rung for rung in lower if rung.weights not in tried), None)
        if lighter is not None:
            return Step(
                lighter, f"{_what(found)}, and nothing else is left to lower: {lighter.weights} is tried instead"
            )
    said = f" SGLang said: {found.line[:300]}" if found.line else ""
    return NoRungLeft(
        f"No rung is left after {failures(len(known))}: {found.cause} with {described(failed)}.{said} "
        "Choose a smaller KVASIR_MODEL or free memory, then `kvasir engine restart --fresh`."
    )


def fails_too(rung: Rung, fall: Fall) -> bool:
    """Return whether a failure says that ``rung`` cannot do: it asks for at least as much of everything.

    Where the weights left no room, less fraction is worse, and all else counts as ever.
    """
    failed = fall.rung
    if rung.weights != failed.weights or rung.device != failed.device:
        return False
    mine, theirs = rung.memory_fraction, failed.memory_fraction
    fraction = _at_least(theirs, mine) if fall.cause is Cause.NO_ROOM else _at_least(mine, theirs)
    return (
        fraction
        and _KV_BYTES[rung.kv_dtype] >= _KV_BYTES[failed.kv_dtype]
        and rung.context_tokens >= failed.context_tokens
        and all(
            _at_least(mine, theirs)
            for mine, theirs in (
                (rung.chunk_tokens, failed.chunk_tokens),
                (rung.decode_batch, failed.decode_batch),
                (rung.running_requests, failed.running_requests),
                (rung.total_tokens, failed.total_tokens),
            )
        )
    )


def described(rung: Rung) -> str:
    """Return a rung in a line, without what is left to SGLang."""
    parts = [rung.weights, f"a context of {rung.context_tokens:,} tokens"]
    parts += [f"{label} {value}" for label, value in _labelled(rung) if value is not None]
    return ", ".join(parts)


# ── One thing less ───────────────────────────────────────────────────────────────────────────────────────────────────

_Move = Callable[[Rung, Finding], Rung | None]
_KV_BYTES: Mapping[str, int] = {"auto": 2, "fp8_e4m3": 1}


def _raise_fraction(rung: Rung, found: Finding) -> Rung | None:
    now = rung.memory_fraction or 0.0
    wanted = round(max(now, found.fraction or 0.0) + _UP, 3)
    return replace(rung, memory_fraction=wanted) if now and wanted <= _HIGHEST_FRACTION else None


def _lower_fraction(rung: Rung, _: Finding) -> Rung | None:
    if rung.device == "cpu" or rung.memory_fraction is None:
        return None
    wanted = round(rung.memory_fraction - _DOWN, 3)
    return replace(rung, memory_fraction=wanted) if wanted >= _LOWEST_FRACTION else None


def _smaller_chunk(rung: Rung, _: Finding) -> Rung | None:
    smaller = next((chunk for chunk in _CHUNKS if chunk < (rung.chunk_tokens or _CHUNKS[0])), None)
    return replace(rung, chunk_tokens=smaller) if smaller is not None else None


def _fewer_graphs(rung: Rung, _: Finding) -> Rung | None:
    if rung.device == "cpu":
        return None
    fewer = (rung.decode_batch or _MANY_REQUESTS) // 2
    return replace(rung, decode_batch=fewer) if fewer >= _LEAST_GRAPHS else None


def _fewer_requests(rung: Rung, _: Finding) -> Rung | None:
    fewer = (rung.running_requests or _MANY_REQUESTS) // 2
    return replace(rung, running_requests=fewer) if fewer else None


def _narrow_kv(rung: Rung, _: Finding) -> Rung | None:
    return replace(rung, kv_dtype="fp8_e4m3") if rung.kv_dtype == "auto" and rung.device != "cpu" else None


def _fewer_tokens(rung: Rung, _: Finding) -> Rung | None:
    fewer = (rung.total_tokens or 2 * rung.context_tokens) // 2
    return replace(rung, total_tokens=fewer) if fewer >= _LEAST_TOKENS else None


def _shorter_context(rung: Rung, _: Finding) -> Rung | None:
    shorter = rung.context_tokens // 2
    return replace(rung, context_tokens=shorter) if shorter >= _LEAST_CONTEXT and rung.device != "cpu" else None


_MOVES: Mapping[Cause, tuple[_Move, ...]] = {
    Cause.WEIGHTS: (),
    Cause.NO_ROOM: (_raise_fraction, _smaller_chunk, _fewer_graphs, _narrow_kv),
    Cause.POOL: (_lower_fraction, _fewer_tokens, _narrow_kv),
    Cause.CAPTURE: (_lower_fraction, _fewer_graphs, _narrow_kv),
    Cause.PREFILL: (_smaller_chunk, _lower_fraction, _fewer_requests, _narrow_kv, _shorter_context, _fewer_tokens),
    Cause.DECODE: (_fewer_requests, _lower_fraction, _narrow_kv, _shorter_context),
    Cause.HOST: (_fewer_tokens, _fewer_requests, _smaller_chunk),
}
"""What is tried first stands first. Lighter weights come after all of it."""


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _what(found: Finding) -> str:
    return found.cause[0].upper() + found.cause[1:]


def _change(before: Rung, after: Rung) -> str:
    """Return what differs, as "memory fraction 0.88 → 0.84"."""
    old, new = dict(_labelled(before)), dict(_labelled(after))
    told = [f"{label} {old[label] or 'by default'} → {new[label]}" for label in new if new[label] != old[label]]
    if before.context_tokens != after.context_tokens:
        told.append(f"context {before.context_tokens} → {after.context_tokens} tokens")
    return ", ".join(told)


def _labelled(rung: Rung) -> tuple[tuple[str, object], ...]:
    return (
        ("memory fraction", rung.memory_fraction),
        ("prefill chunk", rung.chunk_tokens),
        ("graph batch", rung.decode_batch),
        ("running requests", rung.running_requests),
        ("tokens of context in all", rung.total_tokens),
        ("KV dtype", None if rung.kv_dtype == "auto" else rung.kv_dtype),
    )


def failures(count: int) -> str:
    """Return how many, in words."""
    return "one failure" if count == 1 else f"{count} failures"


def _at_least(mine: float | None, theirs: float | None) -> bool:
    """Compare two values of a rung; None, left to SGLang, is as much as there is."""
    return mine is None or (theirs is not None and mine >= theirs)
