"""The soak of audiences: random worlds, in which all that Kvasir posts is compared with an oracle of its own."""

from __future__ import annotations

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bot.errors import BotError
from knowledge.errors import KnowledgeError
from tests.soak.api_history import run_api_history
from tests.soak.history import Outcome, make_history, run_history
from tests.soak.model import Step
from tests.soak.shrink import shrink
from tests.store_servers import store_server

LEAST_FOUND = 0.99


class AudienceSoak:
    """Worlds of 100 questions and as many presses of buttons. A leak is also shown with a short history."""

    world = 100
    outcome = Outcome
    kind = "audiences"
    run_history = staticmethod(run_history)

    def __init__(self, arguments: Namespace, store: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._store = store
        self.place = arguments.store

    @classmethod
    @contextlib.contextmanager
    def open(cls, arguments: Namespace) -> Iterator[AudienceSoak]:
        """Yield the soak with its store."""
        with tempfile.TemporaryDirectory() as folder, store_server(arguments.store, Path(folder)) as variables:
            yield cls(arguments, {"KVASIR_STORE": arguments.store, **variables})

    async def run_world(self, seed: int) -> Outcome:
        """Run a world; if there is a leak and the command says so, find a short history."""
        steps = make_history(seed, self.world, presses=self.world, late=not self._arguments.quick)
        outcome = await self._run_steps(seed, steps)
        if outcome.leaks and self._arguments.shorten:

            async def still_leaks(fewer: Sequence[Step]) -> bool:
                return bool((await self._run_steps(seed, fewer, until_leak=True)).leaks)

            for step in await shrink(steps, still_leaks):
                print(f"  {step}", flush=True)
        return outcome

    async def _run_steps(self, seed: int, steps: Sequence[Step], *, until_leak: bool = False) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            variables = {**self._store, "KVASIR_NAMESPACE": f"s{seed}n{time.time_ns()}"}
            try:
                return await self.run_history(seed, steps, Path(folder), variables, until_leak=until_leak)
            except (AssertionError, TimeoutError, BotError, KnowledgeError) as error:
                return Outcome(silences=[f"the world ended: {error!r:.2000}"])

    @staticmethod
    def list_failures(outcome: Outcome) -> list[str]:
        """Return what went wrong in a world."""
        kinds = {"leak": outcome.leaks, "miss": outcome.misses, "silence": outcome.silences}
        return [f"{kind}: {one}" for kind, found in kinds.items() for one in found[:5]]

    @staticmethod
    def has_failed(total: Outcome) -> bool:
        """Return whether there was a leak, a silence or too many misses."""
        return bool(total.leaks or total.silences) or total.found < LEAST_FOUND * total.allowed

    @staticmethod
    def format_figures(outcome: Outcome) -> str:
        """Return the figures of an outcome."""
        counts = f"{outcome.questions} questions, {outcome.probes} probes, {outcome.found} of {outcome.allowed} found"
        return f"{counts}, {len(outcome.leaks)} leaks, {len(outcome.silences)} silences"

    def format_options(self) -> str:
        """Return the options that repeat a world."""
        quick = " --quick" if self._arguments.quick else ""
        return f"--kind {self.kind} --store {self.place} --shorten{quick}"


class ApiSoak(AudienceSoak):
    """The same worlds, in which people ask by the API."""

    kind = "api"
    run_history = staticmethod(run_api_history)
