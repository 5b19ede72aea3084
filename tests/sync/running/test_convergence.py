"""After any failures, one clean sync makes manifest, store and source equal, and no search ever shows a mix."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from knowledge.errors import EmbedderError, SourceError, StoreError, StoreUnavailable
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.tables import MIGRATIONS
from knowledge.sync.running.pipeline import PipelineLimits
from knowledge.sync.running.repair import repair_index
from knowledge.sync.running.tools import SyncLimits
from tests.database.templates import copy_tables

DOCUMENTS = st.sampled_from([f"{letter}.md" for letter in "abcdef"])
TEXTS = st.one_of(
    st.just("broken"),
    st.lists(st.sampled_from(["one", "two", "three", "four", "one"]), max_size=6).map("\n\n".join),
)
FAILURES = st.sampled_from(
    [
        ("write", StoreUnavailable("The store is away. Start it.")),
        ("delete", StoreError("The store refused. Look at it.")),
        ("count", StoreUnavailable("The store is away. Start it.")),
        ("embed", EmbedderError("The model is away. Make it.")),
        ("read", SourceError("No right to read. Give it.")),
        ("list", SourceError("The listing failed. Try again.")),
        ("list on", SourceError("Page 2 failed. Try again.")),
    ]
)


def machine(  # noqa: C901 - a machine is as complex as its rules are many
    rig_type: Any, source_type: Any, parts: Any, identity: Any
) -> type[RuleBasedStateMachine]:
    """Build the state machine over the stand-ins of the fixtures."""

    class Syncs(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.Runner()
            self.folder = tempfile.TemporaryDirectory(prefix="kvasir-sync-")
            self.versions: dict[str, list[list[str]]] = {}
            self.lost = False

        @initialize(batch=st.integers(1, 4))
        def begin(self, batch: int) -> None:
            async def opened() -> Any:
                url = f"sqlite:///{Path(self.folder.name) / 'kvasir.db'}"
                await copy_tables(url, MIGRATIONS)
                manifest = await open_manifest(url)
                return rig_type(manifest, manifest.open_index(await manifest.add_index(identity)))

            self.rig = self.loop.run(opened())
            self.rig.limits = SyncLimits(stages=PipelineLimits(batch=batch, waiting=3))
            self.rig.source = source_type()

        def teardown(self) -> None:
            if hasattr(self, "rig"):
                self.clean_run_converges()
                self.loop.run(self.rig.manifest.close())
            self.loop.close()
            self.folder.cleanup()

        @rule(document=DOCUMENTS, text=TEXTS)
        def write(self, document: str, text: str) -> None:
            self.rig.source.put(document, text)
            self.versions.setdefault(document, []).append(parts(self.rig.source).get(document, []))

        @rule(document=DOCUMENTS)
        def remove(self, document: str) -> None:
            self.rig.source.texts.pop(document, None)

        @rule(old=DOCUMENTS, new=DOCUMENTS)
        def rename(self, old: str, new: str) -> None:
            source = self.rig.source
            if old in source.texts and new not in source.texts:
                source.put(new, source.texts.pop(old))
                self.versions.setdefault(new, []).append(parts(source).get(new, []))

        @rule(readers=st.sampled_from([["*"], ["U1"], ["U1", "U2"]]))
        def is_open_to(self, readers: list[str]) -> None:
            self.rig.source.readers = frozenset(readers)

        @rule()
        def sync_is_approved(self) -> None:
            self.rig.clock_s += 60.0
            self._run(approve=True)

        @rule(failure=FAILURES, after=st.integers(0, 4), partly=st.integers(0, 3))
        def will_fail(self, failure: tuple[str, Any], after: int, partly: int) -> None:
            call, error = failure
            self.rig.store.partly = partly
            for part in (self.rig.store, self.rig.embedder, self.rig.source):
                part.plans.clear()
                part.plan(call, error, after=after)

        @rule()
        def loses_rows(self) -> None:
            for id_ in list(self.rig.store.rows_by_id)[::2]:
                del self.rig.store.rows_by_id[id_]
            self.lost = True

        @rule()
        def sync(self) -> None:
            self.rig.clock_s += 60.0
            self._run()

        @rule(turns=st.integers(0, 400))
        def sync_is_cancelled(self, turns: int) -> None:
            async def cancelled() -> None:
                task = asyncio.ensure_future(self.rig.sync())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

            self.loop.run(cancelled())

        def _run(self, *, approve: bool = False) -> Any:
            try:
                return self.loop.run(self.rig.sync(approve=approve))
            except StoreError:
                return None  # Before any source was begun.

        @rule()
        def clean_run_converges(self) -> None:
            """Without failures and with approved deletions, all three are equal."""
            for part in (self.rig.store, self.rig.embedder, self.rig.source):
                part.plans.clear()
            self.rig.clock_s += 100_000.0
            report = self.loop.run(self.rig.sync())
            assert report.sources["handbook"].error is None
            answers = self.loop.run(self.rig.answers())
            here = {name: texts for name, texts in answers.items() if name in self.rig.source.texts}
            broken = {name for name, text in self.rig.source.texts.items() if text.startswith("broken")}
            expected = parts(self.rig.source)
            assert {name: texts for name, texts in here.items() if name not in broken} == expected
            assert self.loop.run(self.rig.agree())
            if report.sources["handbook"].pending_deletions == 0:
                assert set(answers) <= set(self.rig.source.texts)
            # Lost rows of a broken document come back with its text; those of a pending deletion never do.
            self.lost = self.lost and bool(broken & here.keys() or answers.keys() - here.keys())
            # What cannot be read keeps its old rows. If its readers changed, the comparison gives these a new audience.
            assert self._drift() <= sum(len(here[name]) for name in broken & here.keys())
            settled = self.loop.run(self.rig.sync())
            assert settled.sources["handbook"].chunks_written == 0
            assert settled.repaired == 0

        def _drift(self) -> int:
            """Compare row by row. Documents that left the source keep their readers."""
            return self.loop.run(repair_index(self.rig.store, self.rig.index, thorough=True)).differences

        @invariant()
        def no_mix_is_shown(self) -> None:
            if not hasattr(self, "rig"):
                return
            if self.lost:
                return  # What the store lost cannot be shown before the next clean run.
            for document, texts in self.loop.run(self.rig.answers()).items():
                versions = self.versions[document]
                assert texts in versions, f"{document} shows {texts}, which no version of it was"

    return Syncs


def _run(kinds: Any, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine(*kinds),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_syncs_converge_shortly(kinds: Any) -> None:
    _run(kinds, examples=4, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_syncs_converge(kinds: Any) -> None:
    _run(kinds, examples=60, steps=30)
