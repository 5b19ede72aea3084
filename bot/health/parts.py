"""The one list of problems: what each part of Kvasir says to a probe, ``status --check``, ``doctor`` and ``sync``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bot.health.checks import OK, Finding
from bot.messages.durations import format_duration
from engine.interfaces import EngineState, EngineStatus
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.index_watch import IndexHealth
from knowledge.sync.manifest.lease import LeaderState

NEEDED_PARTS: Final = ("database", "store", "index", "slack")
"""Without one of them, no question is answered."""
NOT_OPEN: Final = Finding("It is not open yet: Kvasir is starting.", is_usable=False)
NO_LEADER: Final = Finding(
    "No process leads, so nothing is synced by the clock. Start one: kvasir run", is_passing=True
)
NOT_CONNECTED: Final = Finding("There is no connection to Slack now. Kvasir connects again.", is_usable=False)
_READY_STATES: Final = frozenset({EngineState.READY, EngineState.DEGRADED})


def list_problems(engine: EngineStatus | None, state: LibraryStatus) -> dict[str, Finding]:
    """Return what is wrong, by its part; nothing if all is well. ``engine`` is None where none is needed."""
    findings = {
        "store": find_store(state.index),
        "index": find_index(state.index),
        "embedder": Finding(state.embedder_trouble or OK),
        "leader": find_leader(state.leader),
        "configuration": find_differences(state.other_configurations),
        "engine": Finding() if engine is None else find_engine(engine),
        **{source.name: find_source(source) for source in (*select_sources(state), *state.removed)},
    }
    return {name: finding for name, finding in findings.items() if finding.text != OK}


def select_sources(state: LibraryStatus) -> list[SourceStatus]:
    """Return the sources to show; those of added documents only once they contain something."""
    return [s for s in state.sources if s.kind not in {"push", "pages"} or s.documents or s.failed or s.error]


def find_source(source: SourceStatus) -> Finding:
    """Return what is wrong with a source. One that was only never synced passes."""
    sentences = list(_describe_source(source))
    is_new = source.age_s is None and not source.error and not source.is_removed
    return Finding(" ".join(sentences) or OK, is_passing=is_new and len(sentences) == 1)


def _describe_source(source: SourceStatus) -> Iterator[str]:
    if source.is_removed:
        yield (
            f"It is not in this kvasir.toml, and its {source.documents:,} documents are pending deletion. "
            f"To delete them: kvasir sync --approve {shlex.quote(source.name)}"
        )
        return
    if source.error:
        yield source.error
    if source.watch_trouble:
        yield f"Not watched: {source.watch_trouble}"
    if source.age_s is None and not source.error and source.syncing is None:
        yield f"It has never been synced. To sync it: kvasir sync {source.name}"
    elif source.late:
        age, target = format_duration(source.age_s or 0.0), format_duration(source.max_age_s)
        yield f"It is stale: {age} old, target {target}. To sync it now: kvasir sync {source.name}"
    if source.pending_deletions:
        yield (
            f"{source.pending_deletions:,} documents are pending deletion: they are missing from the source. "
            f"If the source is complete, delete them: kvasir sync --approve {source.name}"
        )
    if source.unreachable:
        readers = f", such as {', '.join(source.unreachable_readers)}" if source.unreachable_readers else ""
        yield (
            f"{source.unreachable:,} documents can be shown to nobody: no person is one of their readers{readers} "
            "(docs/operating.md: why does somebody not find a document?)"
        )
    if source.failed:
        yield f"{source.failed:,} documents could not be read: kvasir status names the first."


def find_store(index: IndexHealth) -> Finding:
    """Return whether the store can be used."""
    return Finding() if index.unavailable is None else Finding(str(index.unavailable), is_usable=False)


def find_index(index: IndexHealth) -> Finding:
    """Return whether the index can be searched; while it is rebuilt, answers say what they lack."""
    if index.loss is not None:
        return Finding(str(index.loss), is_usable=False)
    return Finding() if index.rebuild is None else Finding(str(index.find_trouble()), is_passing=True)


def find_leader(leader: LeaderState | None) -> Finding:
    """Return whether a process syncs. Questions are answered without one."""
    return Finding() if leader is not None else NO_LEADER


def find_differences(differences: Mapping[str, Sequence[str]]) -> Finding:
    """Return which sources another running process has otherwise."""
    if not differences:
        return Finding()
    hosts = "; ".join(f"{host}: {', '.join(names)}" for host, names in differences.items())
    return Finding(f"Replicas have another kvasir.toml. These sources differ by host: {hosts}.")


def find_engine(status: EngineStatus) -> Finding:
    """Return the state of the engine. Without it, answers are extracts, so the process takes questions."""
    if status.state in _READY_STATES:
        return Finding()
    if status.state is EngineState.FAILED and status.detail:
        return Finding(f"{status.detail} Until the engine is ready, answers quote the documents.")
    share = "" if status.progress is None else f", {status.progress:.0%}"
    return Finding(
        f"The engine is {status.state.value}{share}. Until it is ready, answers quote the documents.", is_passing=True
    )
