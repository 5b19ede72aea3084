"""Pure: choose the memory profile to try next after SGLang ran out of memory.

A memory profile is the part of a plan that memory depends on. Each step changes one value, in the order that the
messages of SGLang 0.5.23 advise. A profile is skipped if an earlier failure shows that it would fail too. So the ladder
never repeats a profile. It always ends, because each step lowers a value on a finite scale, or raises the memory
fraction towards a fixed bound. At most ``MAX_FAILURES`` failures are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from engine.notes import EngineNote, NoteCode
from engine.oom.log_diagnosis import LogObservations, OomCause, OomFinding

MAX_FAILURES = 24
"""A machine with this many failures needs a person to look at it."""
_MAX_FRACTION, _MIN_FRACTION = 0.95, 0.3
_FRACTION_INCREASE, _FRACTION_DECREASE = 0.01, 0.04
_CHUNKS = (8192, 4096, 2048, 1024, 512)
_MIN_GRAPH_BATCH = 4
_MIN_TOKENS = 2048
_MIN_CONTEXT_TOKENS = 4096
_DEFAULT_REQUESTS = 64
"""The assumed number of running requests and captured batches where none is set."""


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    """The values that memory depends on; None leaves a value to SGLang, which then takes as much as it can."""

    weights: str
    """A model at a precision, in words."""
    device: str
    context_tokens: int
    memory_fraction: float | None = None
    chunk_tokens: int | None = None
    decode_batch: int | None = None
    running_requests: int | None = None
    total_tokens: int | None = None
    kv_dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class ProfileFailure:
    """A profile that failed, with the values that SGLang chose where the profile sets none."""

    profile: Annotated[MemoryProfile, Field(alias="rung")]
    cause: OomCause
    why: str = ""
    """``explain_change`` in English, for the log's reader and for earlier releases."""
    is_retry: Annotated[bool, Field(alias="retried")] = False
    """Whether the profile was retried at a quiet hour and failed again."""


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """The next profile, and why."""

    profile: MemoryProfile | None
    """The next profile; None if no lower one is left."""
    why: EngineNote


def complete_profile(profile: MemoryProfile, observations: LogObservations) -> MemoryProfile:
    """Return the profile with the values that SGLang chose, according to its log."""
    return replace(
        profile,
        memory_fraction=profile.memory_fraction
        if profile.memory_fraction is not None
        else observations.memory_fraction,
        chunk_tokens=profile.chunk_tokens or observations.chunk_tokens,
        running_requests=profile.running_requests or observations.running_requests,
        total_tokens=min(filter(None, (profile.total_tokens, observations.kv_tokens)), default=None),
    )


def choose_lower_profile(
    failed: MemoryProfile, found: OomFinding, failures: Sequence[ProfileFailure], lower: Sequence[MemoryProfile]
) -> ProfileChange:
    """Return the profile below ``failed``, which ``complete_profile`` returned.

    ``failures`` are the earlier ones on this machine, ``lower`` the profiles with lighter weights, the best first.
    """
    failure = ProfileFailure(failed, found.cause)
    all_failures = (*failures, failure)
    if len(all_failures) <= MAX_FAILURES:
        for move in _MOVES[found.cause]:
            profile = move(failed, found)
            if profile is not None and not any(would_fail(profile, one) for one in all_failures):
                return ProfileChange(profile, explain_change(failure, profile))
        failed_weights = {one.profile.weights for one in all_failures}
        lighter = next((profile for profile in lower if profile.weights not in failed_weights), None)
        if lighter is not None:
            return ProfileChange(lighter, explain_change(failure, lighter))
    why = NoteCode.NOTHING_SMALLER.fill(
        failures=count_failures(len(all_failures)),
        cause=NoteCode(found.cause.value).fill(),
        profile=describe_profile(failed),
        quote=NoteCode.LOG_SAYS.fill(line=found.line[:300]) if found.line else "",
    )
    return ProfileChange(None, why)


def explain_change(failure: ProfileFailure, after: MemoryProfile) -> EngineNote:
    """Return why ``after`` follows on a failure, as a part of a sentence."""
    before, cause = failure.profile, NoteCode(failure.cause.value).fill()
    if failure.is_retry:
        return NoteCode.RETRY_FAILED.fill(cause=cause, profile=describe_profile(after))
    if before.weights != after.weights:
        return NoteCode.LIGHTER_WEIGHTS.fill(cause=cause, weights=after.weights)
    return NoteCode.MEMORY_REDUCED.fill(cause=cause, change=_describe_change(before, after))


def would_fail(profile: MemoryProfile, failure: ProfileFailure) -> bool:
    """Return whether a failure shows that ``profile`` would fail too: it needs at least as much of everything.

    If the weights left no room, a smaller memory fraction is worse instead of better.
    """
    failed = failure.profile
    if profile.weights != failed.weights or profile.device != failed.device:
        return False
    mine, theirs = profile.memory_fraction, failed.memory_fraction
    fraction = _is_at_least(theirs, mine) if failure.cause is OomCause.NO_ROOM else _is_at_least(mine, theirs)
    return (
        fraction
        and _KV_BYTES[profile.kv_dtype] >= _KV_BYTES[failed.kv_dtype]
        and profile.context_tokens >= failed.context_tokens
        and all(
            _is_at_least(mine, theirs)
            for mine, theirs in (
                (profile.chunk_tokens, failed.chunk_tokens),
                (profile.decode_batch, failed.decode_batch),
                (profile.running_requests, failed.running_requests),
                (profile.total_tokens, failed.total_tokens),
            )
        )
    )


def describe_profile(profile: MemoryProfile) -> str:
    """Return a profile in one line, without the values left to SGLang."""
    parts = [profile.weights, f"a context of {profile.context_tokens:,} tokens"]
    parts += [f"{label} {value}" for label, value in _label_values(profile) if value is not None]
    return ", ".join(parts)


# ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_KV_BYTES: Mapping[str, int] = {"auto": 2, "fp8_e4m3": 1}


def _raise_fraction(profile: MemoryProfile, found: OomFinding) -> MemoryProfile | None:
    now = profile.memory_fraction or 0.0
    higher = round(max(now, found.fraction or 0.0) + _FRACTION_INCREASE, 3)
    return replace(profile, memory_fraction=higher) if now and higher <= _MAX_FRACTION else None


def _lower_fraction(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    if profile.device == "cpu" or profile.memory_fraction is None:
        return None
    lower = round(profile.memory_fraction - _FRACTION_DECREASE, 3)
    return replace(profile, memory_fraction=lower) if lower >= _MIN_FRACTION else None


def _reduce_chunk(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    smaller = next((chunk for chunk in _CHUNKS if chunk < (profile.chunk_tokens or _CHUNKS[0])), None)
    return replace(profile, chunk_tokens=smaller) if smaller is not None else None


def _reduce_graphs(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    if profile.device == "cpu":
        return None
    fewer = (profile.decode_batch or _DEFAULT_REQUESTS) // 2
    return replace(profile, decode_batch=fewer) if fewer >= _MIN_GRAPH_BATCH else None


def _reduce_requests(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    fewer = (profile.running_requests or _DEFAULT_REQUESTS) // 2
    return replace(profile, running_requests=fewer) if fewer else None


def _quantize_kv(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    return replace(profile, kv_dtype="fp8_e4m3") if profile.kv_dtype == "auto" and profile.device != "cpu" else None


def _reduce_tokens(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    fewer = (profile.total_tokens or 2 * profile.context_tokens) // 2
    return replace(profile, total_tokens=fewer) if fewer >= _MIN_TOKENS else None


def _shorten_context(profile: MemoryProfile, _: OomFinding) -> MemoryProfile | None:
    shorter = profile.context_tokens // 2
    return (
        replace(profile, context_tokens=shorter) if shorter >= _MIN_CONTEXT_TOKENS and profile.device != "cpu" else None
    )


_MOVES: Mapping[OomCause, tuple[Callable[[MemoryProfile, OomFinding], MemoryProfile | None], ...]] = {
    OomCause.WEIGHTS: (),
    OomCause.NO_ROOM: (_raise_fraction, _reduce_chunk, _reduce_graphs, _quantize_kv),
    OomCause.POOL: (_lower_fraction, _reduce_tokens, _quantize_kv),
    OomCause.CAPTURE: (_lower_fraction, _reduce_graphs, _quantize_kv),
    OomCause.PREFILL: (
        _reduce_chunk,
        _lower_fraction,
        _reduce_requests,
        _quantize_kv,
        _shorten_context,
        _reduce_tokens,
    ),
    OomCause.DECODE: (_reduce_requests, _lower_fraction, _quantize_kv, _shorten_context),
    OomCause.HOST: (_reduce_tokens, _reduce_requests, _reduce_chunk),
}
"""The moves in the order of the attempts. Lighter weights come after all of them."""


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _describe_change(before: MemoryProfile, after: MemoryProfile) -> str:
    """Return the difference, as "memory fraction 0.88 → 0.84"."""
    old, new = dict(_label_values(before)), dict(_label_values(after))
    changes = [f"{label} {old[label] or 'by default'} → {new[label]}" for label in new if new[label] != old[label]]
    if before.context_tokens != after.context_tokens:
        changes.append(f"context {before.context_tokens} → {after.context_tokens} tokens")
    return ", ".join(changes)


def _label_values(profile: MemoryProfile) -> tuple[tuple[str, object], ...]:
    return (
        ("memory fraction", profile.memory_fraction),
        ("prefill chunk", profile.chunk_tokens),
        ("graph batch", profile.decode_batch),
        ("running requests", profile.running_requests),
        ("tokens of context in all", profile.total_tokens),
        ("KV dtype", None if profile.kv_dtype == "auto" else profile.kv_dtype),
    )


def count_failures(count: int) -> EngineNote:
    """Return a number of failures in words."""
    return NoteCode.ONE_FAILURE.fill() if count == 1 else NoteCode.FAILURES.fill(count=count)


def _is_at_least(mine: float | None, theirs: float | None) -> bool:
    """Compare two values of profiles; None, left to SGLang, counts as the largest."""
    return mine is None or (theirs is not None and mine >= theirs)
