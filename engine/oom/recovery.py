"""Carries the ladder out: the plan that is run now, the next one after a failure, and the memory of both."""

from __future__ import annotations

import logging

from engine.oom.ladder import NoRungLeft, Rung, Step, as_run, described, failures
from engine.oom.lighter_plans import applied, lighter, machine_key, rung_of
from engine.oom.log_diagnosis import Death, Finding, finding, trouble
from engine.oom.log_tail import reason
from engine.oom.state import Climb, ClimbFile, Load, RestartDecision, down, settled, up
from engine.planning.hardware import Machine
from engine.planning.plans import Plan

_log = logging.getLogger("kvasir.engine")


class Climber:
    """Stands on one rung of one plan's ladder."""

    def __init__(self, plan: Plan, machine: Machine, file: ClimbFile, release: str) -> None:
        """Begin where the ladder stood the last time; ``release`` names SGLang's environment."""
        self._top = plan
        self._machine = machine
        self._file = file
        self._key = machine_key(plan, machine, release)
        self._lower: tuple[Plan, ...] | None = None
        self._climb = file.read(self._key)
        self.plan = self._planned()

    @property
    def rungs_down(self) -> int:
        """Return how many failures led here; 0 on the plan's own rung."""
        return len(self._climb.falls)

    def note(self, load: Load | None = None) -> str:
        """Return what a person should know of the plan that runs, "" where there is nothing to say.

        With the load since the start it says whether that leaves room for a rung up.
        """
        climb = settled(self._climb, load) if load is not None else self._climb
        if climb.proven is not None:
            lowered = "A rung up is being tried."
        elif climb.falls:
            lowered = (
                f"After {failures(len(climb.falls))} for lack of memory it asks for less (the last: "
                f"{climb.falls[-1].why}); `kvasir engine restart --fresh` tries the first plan again."
            )
        else:
            lowered = ""
        found = up(self._climb, load) if load is not None else None
        room = found and f"The load leaves room for more: the next quiet hour may try {described(found[1].rung)} again."
        return " ".join(filter(None, (self.plan.note, lowered, room)))

    def judge(self, death: Death) -> RestartDecision | None:
        """Return what follows from the end of a run; None for a crash that memory did not cause."""
        found = finding(death)
        if found is not None:
            return self._down(death, found)
        known = trouble(death.lines)
        if known is None or not known.hopeless:
            return None
        return RestartDecision(f"The engine cannot start: {known.sentence} ({reason(death.lines)}).", again=False)

    def would_step_up(self, load: Load) -> str | None:
        """Return why a rung up would be taken; None where there is none."""
        found = up(self._climb, load)
        return None if found is None else found[1].why

    def step_up(self, load: Load) -> str | None:
        """Take the rung up that the load leaves room for and return why; None where there is none."""
        found = up(self._climb, load)
        if found is None:
            return None
        self._move(*found)
        return found[1].why

    def settle(self, load: Load) -> None:
        """Note that a rung up has held, where one was tried and looked at often enough."""
        if (held := settled(self._climb, load)) != self._climb:
            self._stand(held)

    def forget(self) -> None:
        """Go back to the plan's own rung."""
        self._climb = Climb()
        try:
            self._file.forget(self._key)
        except OSError as error:
            _log.warning("the ladder's memory cannot be written: %s", error.strerror)
        self.plan = self._planned()

    def _down(self, death: Death, found: Finding) -> RestartDecision:
        failed = as_run(rung_of(self.plan), death.observed)
        climb, step = down(self._climb, failed, found, [rung_of(plan) for plan in self._lighter()])
        if isinstance(step, NoRungLeft):
            _log.error("engine out of memory: %s", step.why)
            return RestartDecision(step.why, again=False)
        self._move(climb, step)
        return RestartDecision(f"{step.why}. The engine is starting again.", again=True)

    def _move(self, climb: Climb, step: Step) -> None:
        _log.warning("engine on another rung: %s", step.why)
        self._stand(climb)

    def _stand(self, climb: Climb) -> None:
        self._climb = climb
        self.plan = self._planned()
        try:
            self._file.write(self._key, climb)
        except OSError as error:
            _log.warning("the ladder's memory cannot be written: %s", error.strerror)

    def _planned(self) -> Plan:
        """Return the plan of the present rung; weights that the catalogue lost begin at the top again."""
        rung = self._climb.rung
        if rung is None:
            return self._top
        plan = applied(rung, (self._top, *self._lighter_than(rung)))
        if plan is None:
            self._climb = Climb()
            return self._top
        return plan

    def _lighter_than(self, rung: Rung) -> tuple[Plan, ...]:
        return () if rung.weights == rung_of(self._top).weights else self._lighter()

    def _lighter(self) -> tuple[Plan, ...]:
        if self._lower is None:
            self._lower = lighter(self._top, self._machine)
        return self._lower
