"""Apply the memory ladder: the current plan, the next one after a failure, and what is remembered."""

from __future__ import annotations

import logging
from functools import cached_property

from engine.notes import EngineNote, NoteCode
from engine.oom.ladder import (
    ProfileChange,
    complete_profile,
    count_failures,
    describe_profile,
    explain_change,
)
from engine.oom.lighter_plans import apply_profile, build_ladder_key, extract_profile, find_lighter_plans
from engine.oom.log_diagnosis import OomFinding, RunEnd, find_known_problem, find_oom
from engine.oom.log_tail import summarize_failure
from engine.oom.state import (
    LadderFile,
    LadderState,
    PeakLoad,
    RestartDecision,
    confirm_profile,
    lower_profile,
    raise_profile,
)
from engine.planning.hardware import Machine
from engine.planning.plans import LaunchPlan

_log = logging.getLogger("kvasir.engine")


class OomRecovery:
    """Chooses the memory profile for one plan, after failures and at quiet hours."""

    def __init__(self, plan: LaunchPlan, machine: Machine, file: LadderFile, release: str) -> None:
        """Start with the remembered profile; ``release`` names SGLang's environment."""
        self._first_plan = plan
        self._machine = machine
        self._file = file
        self._key = build_ladder_key(plan, machine, release)
        self._state = file.read_state(self._key)
        self.plan = self._build_plan()

    @property
    def failure_count(self) -> int:
        """Return the number of failures that led to the current profile; 0 for the plan's own."""
        return len(self._state.failures)

    def list_notes(self, load: PeakLoad | None = None) -> tuple[EngineNote, ...]:
        """Return what users should know about the current plan.

        With the load since the start, it says whether a larger profile may be tried.
        """
        state = confirm_profile(self._state, load) if load is not None else self._state
        notes = list(self.plan.notes)
        if state.proven_profile is not None:
            notes.append(NoteCode.TRYING_LARGER.fill())
        elif state.failures and state.profile is not None:
            why = explain_change(state.failures[-1], state.profile)
            notes.append(NoteCode.LESS_MEMORY.fill(failures=count_failures(len(state.failures)), why=why))
        step = raise_profile(self._state, load) if load is not None else None
        if step is not None and step[0].profile is not None:
            notes.append(NoteCode.MEMORY_FREE.fill(profile=describe_profile(step[0].profile)))
        return tuple(notes)

    def decide_restart(self, end: RunEnd) -> RestartDecision | None:
        """Return whether to restart after a run; None for a crash that memory did not cause."""
        found = find_oom(end)
        if found is not None:
            return self._lower_profile(end, found)
        problem = find_known_problem(end.lines)
        if problem is None or problem.outcome == "again":
            return None
        summary = summarize_failure(end.lines)
        return RestartDecision(
            NoteCode.CANNOT_START.fill(problem=problem.problem.fill(), summary=summary), restart=False
        )

    def explain_raise(self, load: PeakLoad) -> EngineNote | None:
        """Return why the larger profile would be tried; None if it would not."""
        found = raise_profile(self._state, load)
        return None if found is None else found[1].why

    def raise_profile(self, load: PeakLoad) -> EngineNote | None:
        """Change to the larger profile if the load leaves memory free; return why, or None."""
        found = raise_profile(self._state, load)
        if found is None:
            return None
        self._change_profile(*found)
        return found[1].why

    def confirm_profile(self, load: PeakLoad) -> None:
        """Record that a larger profile works, after enough health checks."""
        if (state := confirm_profile(self._state, load)) != self._state:
            self._save_state(state)

    def reset(self) -> None:
        """Go back to the plan's own profile and forget all failures."""
        self._save_state(LadderState())

    def _lower_profile(self, end: RunEnd, found: OomFinding) -> RestartDecision:
        failed = complete_profile(extract_profile(self.plan), end.observations)
        state, step = lower_profile(self._state, failed, found, [extract_profile(plan) for plan in self._lighter_plans])
        if step.profile is None:
            _log.error("engine out of memory: %s", step.why)
            return RestartDecision(step.why, restart=False)
        self._change_profile(state, step)
        return RestartDecision(NoteCode.STARTING_WITH_LESS.fill(why=step.why), restart=True)

    def _change_profile(self, state: LadderState, step: ProfileChange) -> None:
        _log.warning("engine uses another memory profile: %s", step.why)
        self._save_state(state)

    def _save_state(self, state: LadderState) -> None:
        self._state = state
        self.plan = self._build_plan()
        try:
            self._file.write_state(self._key, state)
        except OSError as error:
            _log.warning("cannot save the memory ladder: %s", error.strerror)

    def _build_plan(self) -> LaunchPlan:
        """Return the plan for the current profile; start at the top if the catalogue has no such weights any more."""
        profile = self._state.profile
        if profile is None:
            return self._first_plan
        is_lighter = profile.weights != extract_profile(self._first_plan).weights
        plan = apply_profile(profile, (self._first_plan, *(self._lighter_plans if is_lighter else ())))
        if plan is None:
            self._state = LadderState()
            return self._first_plan
        return plan

    @cached_property
    def _lighter_plans(self) -> tuple[LaunchPlan, ...]:
        return find_lighter_plans(self._first_plan, self._machine)
