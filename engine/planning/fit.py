"""Pure: plan how a model runs on a machine, or explain in numbers why it does not fit.

``plan_variant`` plans one model, ``plan_model`` the value of KVASIR_MODEL. ``fit_variant`` also returns the reasons.
``engine.planning.memory`` estimates memory, ``engine.planning.speed`` estimates speed.
"""

from __future__ import annotations

from dataclasses import replace

from engine.errors import EngineRefused, ModelMisfit
from engine.notes import EngineNote, NoteCode
from engine.planning.candidates import estimate_slowness, iterate_plans, list_plan_notes
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, resolve_model
from engine.planning.hardware import Machine, select_equal_cards
from engine.planning.memory import compute_cpu_fraction, estimate_cpu_kv_tokens
from engine.planning.plans import FitResult, LaunchPlan, NearestFit, PlanRequirements
from engine.planning.reasons import explain_misfit, list_false_claims
from engine.planning.variant import GIB, Variant, estimate_quality

AUTO = "auto"
"""The value of KVASIR_MODEL for the best model that fits."""
_CPU_OVERHEAD_GIB = 3.2
"""SGLang's three processes without weights and context after half an hour; shared pages count once."""
_CPU_CONTEXT_TOKENS = 8192
"""The context of one request. Two cores prefill 400 tokens a second, so longer prompts would be too slow."""
_CPU_KV_TOKENS = 32768
"""The context of all requests together: 0.4 GiB with the 0.5B, 0.9 GiB with the 1.5B."""
_CPU_MAX_PARAMETERS = 2_000_000_000
"""Larger models write less than a word a second on a CPU. For a folder, the user decides."""
_LARGER_CORES = 4
"""On two cores a 1.5B writes 4 to 7 tokens a second, half as many as the 0.5B."""
_SPARE_GIB = 2.0
"""The memory for Kvasir itself, its store and its embedder."""
_CPU_FRACTION, _CPU_MAX_FRACTION = 0.3, 0.9
_CPU_CHUNK_TOKENS = 256
"""SGLang answers no health check while it reads a chunk, and a busy CPU reads 50 tokens a second."""
_CPU_RUNNING_REQUESTS = 8
"""More requests only slow down every answer: eight reach six times the tokens a second of one."""
_CPU_START_DEADLINE_S = 600.0
_CORES_PER_THREAD = 2
"""OpenMP threads that share cores with other work wait for each other: two on two busy cores reach a tenth."""


def plan_variant(variant: Variant | None, machine: Machine, requirements: PlanRequirements | None = None) -> LaunchPlan:
    """Return the plan of a variant, for one person at a time if necessary; without a variant, of a small model.

    Raises:
        EngineRefused: it does not fit, or the machine is unsupported; the text has numbers and the next step.

    """
    if (why := explain_unsupported_machine(machine)) is not None:
        raise EngineRefused(why)
    if variant is None:
        small, why = choose_small_model(machine)
        use_gpu = NoteCode.USE_GPU.fill(auto=AUTO, variant=VARIANTS[-1].name)
        return _plan_on_cpu(small, machine, (why, use_gpu) if machine.cards else (why,))
    if variant.small_model or not machine.cards:
        return _plan_on_cpu(variant, machine)
    found = fit_variant(variant, machine, requirements or PlanRequirements())
    if found.plan is None and requirements is None:
        found = fit_variant(variant, machine, PlanRequirements(people=1))
    if found.plan is None:
        raise ModelMisfit(variant.name, " ".join(found.reasons))
    return found.plan


def choose_small_model(machine: Machine) -> tuple[Variant, EngineNote]:
    """Return the small model for a machine's CPU, and the reason in one sentence.

    It is the largest one for which cores and free memory suffice, else the smallest.
    """
    larger, smaller = (variant for variant in SMALL_MODELS if variant.fallback)
    needed_gib = _estimate_cpu_gib(larger) + _SPARE_GIB
    if machine.is_described:
        note = NoteCode.SMALL_MODEL_NEEDS.fill(model=larger.name, cores=_LARGER_CORES, memory_gib=needed_gib)
        return smaller, note
    free_gib = machine.memory_free_bytes / GIB
    has_memory = free_gib >= needed_gib
    fits = machine.cores >= _LARGER_CORES and has_memory
    lacks = NoteCode.SMALL_MODEL_SLOWER if has_memory else NoteCode.SMALL_MODEL_MISFIT
    code = NoteCode.SMALL_MODEL_FITS if fits else lacks
    note = code.fill(
        model=larger.name, cores=_LARGER_CORES, memory_gib=needed_gib, has_cores=machine.cores, has_gib=free_gib
    )
    return larger if fits else smaller, note


def plan_model(model: str | None, machine: Machine) -> LaunchPlan:
    """Return the plan for a value of KVASIR_MODEL: none, ``auto``, a name or a folder.

    Raises:
        EngineRefused: as ``plan_variant``, or there is no such model.

    """
    if model is None or model.strip().lower() != AUTO:
        return plan_variant(resolve_model(model) if model else None, machine)
    best_plan = find_best_plan(machine, PlanRequirements())
    return best_plan if best_plan is not None else plan_variant(None, machine)


def find_best_plan(machine: Machine, requirements: PlanRequirements) -> LaunchPlan | None:
    """Return the plan of the best quality that fits, None if no R1 fits.

    Plans with a smaller reserve than SGLang's default come after all others.
    """
    if explain_unsupported_machine(machine) is not None or not machine.cards:
        return None
    found = (fit_variant(variant, machine, requirements, find_nearest=False).plan for variant in VARIANTS)
    return max(filter(None, found), key=rank_plan, default=None)


def rank_plan(plan: LaunchPlan) -> tuple[bool, float]:
    """Return the sort key of plans: SGLang's default reserve first, then the quality."""
    return plan.memory_fraction is None, estimate_quality(plan.variant, plan.weights.precision)


def fit_variant(
    variant: Variant, machine: Machine, requirements: PlanRequirements, *, find_nearest: bool = True
) -> FitResult:
    """Return whether a variant fits on a machine; ``find_nearest`` also finds what would fit instead.

    If the cards differ, the largest group of equal ones counts.
    """
    if not machine.cards or variant.small_model:
        return _fit_on_cpu(variant, machine)
    whole, machine = machine, select_equal_cards(machine)
    options = iterate_plans(variant, machine, requirements)
    plan = min(options, key=estimate_slowness, default=None) if requirements.goal == "speed" else next(options, None)
    if plan is not None:
        is_partial = len(machine.cards) < len(whole.cards) or machine.cards[0].is_mig_instance
        only = tuple(card.uuid for card in machine.cards) if is_partial else ()
        plan = replace(plan, visible_cards=tuple(filter(None, only)))
        plan = replace(plan, notes=list_plan_notes(plan, machine, whole))
        return FitResult(variant, plan, claims=list_false_claims(variant, machine, requirements, plan))
    nearest = _find_nearest(variant, whole, requirements) if find_nearest else None
    reasons = explain_misfit(variant, machine, requirements, nearest)
    alternative = nearest.plan if nearest is not None else None
    return FitResult(variant, None, reasons, alternative, list_false_claims(variant, machine, requirements, None))


def _find_nearest(variant: Variant, machine: Machine, requirements: PlanRequirements) -> NearestFit | None:
    """Return what works instead, None if nothing does.

    That is the same model at another precision, for fewer people or with less context, else the best smaller model.
    """
    looser_requirements = [
        requirements,
        replace(requirements, precision=None),
        replace(requirements, people=1, precision=None),
        PlanRequirements(goal=requirements.goal),
    ]
    for looser in looser_requirements[1:]:
        if (same := fit_variant(variant, machine, looser, find_nearest=False).plan) is not None:
            return NearestFit(same, looser)
    smaller = [other for other in VARIANTS if other.parameters < variant.parameters]
    for looser in looser_requirements:
        found = [
            plan for plan in (fit_variant(other, machine, looser, find_nearest=False).plan for other in smaller) if plan
        ]
        if found:
            return NearestFit(max(found, key=rank_plan), looser)
    return None


def _fit_on_cpu(variant: Variant, machine: Machine) -> FitResult:
    try:
        return FitResult(variant, plan_variant(variant, machine))
    except EngineRefused as refused:
        return FitResult(variant, None, (str(refused),))


def explain_unsupported_machine(machine: Machine) -> EngineNote | None:
    """Return why no engine runs on this kind of machine; None if one may."""
    if machine.system == "linux" and machine.architecture in {"x86_64", "AMD64"}:
        return None
    return NoteCode.UNSUPPORTED_MACHINE.fill(system=machine.system, architecture=machine.architecture)


def _plan_on_cpu(variant: Variant, machine: Machine, notes: tuple[EngineNote, ...] = ()) -> LaunchPlan:
    if variant.parameters > _CPU_MAX_PARAMETERS and not variant.is_directory:
        raise EngineRefused(
            NoteCode.NEEDS_GPU.fill(model=variant.name, weights_gib=variant.weights_gib, variant=VARIANTS[-1].name)
        )
    needed = _estimate_cpu_gib(variant)
    if not variant.small_model and not variant.is_directory:
        notes = (NoteCode.SLOW_ON_CPU.fill(memory_gib=needed),)
    is_memory_known = machine.memory_bytes > 0  # a description of a machine may omit it
    if is_memory_known and needed > machine.memory_gib:
        raise EngineRefused(
            NoteCode.NEEDS_MEMORY.fill(
                model=variant.name, needed_gib=needed, weights_gib=variant.weights_gib, memory_gib=machine.memory_gib
            )
        )
    free_gib, nodes = machine.memory_free_bytes / GIB if is_memory_known else needed, machine.numa_nodes
    kv_tokens, context_tokens = _CPU_KV_TOKENS, min(variant.context_tokens, _CPU_CONTEXT_TOKENS)
    fraction = min(max(_CPU_FRACTION, compute_cpu_fraction(variant, free_gib, kv_tokens, nodes)), _CPU_MAX_FRACTION)
    return LaunchPlan(
        variant=variant,
        device="cpu",
        context_tokens=context_tokens,
        kv_tokens=max(1, min(kv_tokens, estimate_cpu_kv_tokens(variant, free_gib, fraction, nodes))),
        start_deadline_s=_CPU_START_DEADLINE_S,
        memory_fraction=fraction,
        chunk_tokens=_CPU_CHUNK_TOKENS,
        running_requests=_CPU_RUNNING_REQUESTS,
        total_tokens=kv_tokens,
        threads=max(1, machine.cores // _CORES_PER_THREAD),
        people=_CPU_RUNNING_REQUESTS,
        notes=notes,
    )


def _estimate_cpu_gib(variant: Variant) -> float:
    """Return the memory that SGLang uses with a model on a CPU, in GiB."""
    return variant.weights_gib + _CPU_KV_TOKENS * variant.kv_bytes_per_token / GIB + _CPU_OVERHEAD_GIB
