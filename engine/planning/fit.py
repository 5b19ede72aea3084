"""Pure: does this model run on this machine, how, and if not, why not in numbers.

``plan`` answers for one model, ``chosen`` for what a person set as KVASIR_MODEL, ``fitted`` for a table of all of them.
What memory a layout leaves is in ``engine.planning.memory``, what speed to expect in ``engine.planning.speed``.
"""

from __future__ import annotations

from dataclasses import replace

from engine.errors import EngineRefused
from engine.planning.candidates import note_on, plans, slowness
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, resolve
from engine.planning.hardware import Machine, alike
from engine.planning.memory import cpu_fraction, cpu_kv_tokens
from engine.planning.plans import Fit, Nearest, Plan, Wish
from engine.planning.reasons import claims, reasons
from engine.planning.variant import GIB, Variant, quality

__all__ = ["AUTO", "Fit", "Plan", "Wish", "best", "chosen", "fitted", "plan", "small_model", "why_no_engine"]

AUTO = "auto"
"""As KVASIR_MODEL: the best model that fits."""
_CPU_OVERHEAD_GIB = 3.2
"""SGLang's three processes without weights and context after half an hour of use; shared pages counted once."""
_CPU_CONTEXT_TOKENS = 8192
"""For one request. Two cores read 400 tokens a second, so nobody waits for a longer prompt."""
_CPU_KV_TOKENS = 32768
"""For all requests together: 0.4 GiB with the 0.5B, 0.9 GiB with the 1.5B."""
_CPU_MOST_PARAMETERS = 2_000_000_000
"""Above this a CPU writes less than a word a second. A folder is the choice of whoever names it."""
_LARGER_CORES = 4
"""On two cores the 1.5B writes 4 to 7 tokens a second, half as many as the 0.5B."""
_SPARE_GIB = 2.0
"""Left to Kvasir itself, its store and its embedder."""
_CPU_FRACTION, _CPU_MOST_FRACTION = 0.3, 0.9
_CPU_RUNNING_REQUESTS = 8
"""More at once only make every answer slower: eight reach six times the tokens a second of one."""
_CPU_START_DEADLINE_S = 600.0
_CORES_PER_THREAD = 2
"""OpenMP threads that share their cores with anything else wait for each other: two on two busy cores write a tenth."""


def plan(wanted: Variant | None, machine: Machine, wish: Wish | None = None) -> Plan:
    """Return how ``wanted`` runs on ``machine``, for one person at a time if need be; without one, a small model.

    Raises:
        EngineRefused: it does not fit, or no engine runs on such a machine; the text has the numbers and the next step.

    """
    if (why := why_no_engine(machine)) is not None:
        raise EngineRefused(why)
    if wanted is None:
        small, why = small_model(machine)
        use_gpu = f"Set KVASIR_MODEL to {AUTO}, or to an R1 variant such as {VARIANTS[-1].name}, to use the GPU."
        return _on_cpu(small, machine, f"{why} {use_gpu}" if machine.cards else why)
    if wanted.small_model or not machine.cards:
        return _on_cpu(wanted, machine)
    found = fitted(wanted, machine, wish or Wish())
    if found.plan is None and wish is None:
        found = fitted(wanted, machine, Wish(people=1))
    if found.plan is None:
        raise EngineRefused(" ".join(found.reasons))
    return found.plan


def small_model(machine: Machine) -> tuple[Variant, str]:
    """Return the small model for a machine's CPU, and why in one sentence.

    It is the largest one for which cores and free memory suffice, else the smallest.
    """
    larger, smaller = (variant for variant in SMALL_MODELS if variant.fallback)
    asked_gib = _cpu_gib(larger) + _SPARE_GIB
    asks = f"{larger.name} asks for {_LARGER_CORES} cores and {asked_gib:.1f} GiB of free memory"
    if machine.described:
        return smaller, f"{asks}."
    free_gib = machine.memory_free_bytes / GIB
    has = f"this machine has {machine.cores} and {free_gib:.1f}"
    if machine.cores >= _LARGER_CORES and free_gib >= asked_gib:
        return larger, f"{asks}, and {has}."
    return smaller, f"{asks}, but {has}."


def chosen(model: str | None, machine: Machine, wish: Wish | None = None) -> Plan:
    """Return the plan for what KVASIR_MODEL says: nothing, ``auto``, a name or a folder.

    Raises:
        EngineRefused: as ``plan``, or there is no such model.

    """
    if model is None or model.strip().lower() != AUTO:
        return plan(resolve(model) if model else None, machine, wish)
    best_plan = best(machine, wish or Wish())
    return best_plan if best_plan is not None else plan(None, machine, wish)


def best(machine: Machine, wish: Wish) -> Plan | None:
    """Return the plan of the best quality that fits: published scores times what its precision keeps.

    Plans with less reserve than SGLang's default come after all others. None where no R1 fits on the cards.
    """
    if why_no_engine(machine) is not None or not machine.cards:
        return None
    found = (fitted(variant, machine, wish, near=False).plan for variant in VARIANTS)
    return max(filter(None, found), key=rank, default=None)


def rank(made: Plan) -> tuple[bool, float]:
    """Return by what plans are compared: whether SGLang's own reserve is kept, then the quality."""
    return made.memory_fraction is None, quality(made.variant, made.weights.precision)


def fitted(variant: Variant, machine: Machine, wish: Wish, *, near: bool = True) -> Fit:
    """Return whether a variant fits on the cards of a machine; ``near`` looks for what would, where it does not.

    Where the cards are not all alike, the largest group of equal ones counts.
    """
    if not machine.cards or variant.small_model:
        return _fitted_on_cpu(variant, machine)
    whole, machine = machine, alike(machine)
    options = plans(variant, machine, wish)
    made = min(options, key=slowness, default=None) if wish.goal == "speed" else next(options, None)
    if made is not None:
        named = len(machine.cards) < len(whole.cards) or machine.cards[0].is_part
        only = tuple(card.uuid for card in machine.cards) if named else ()
        made = replace(made, only_cards=tuple(filter(None, only)))
        made = replace(made, note=note_on(made, machine, whole))
        return Fit(variant, made, claims=claims(variant, machine, wish, made))
    nearest = _nearest(variant, whole, wish) if near else None
    told = reasons(variant, machine, wish, nearest)
    works = nearest.plan if nearest is not None else None
    return Fit(variant, None, told, works, claims(variant, machine, wish, None))


def _nearest(variant: Variant, machine: Machine, wish: Wish) -> Nearest | None:
    """Return what works instead, None where nothing does.

    That is the same model at another precision, for fewer people or with less context, else the best smaller one.
    """
    modest = [wish, replace(wish, precision=None), replace(wish, people=1, precision=None), Wish(goal=wish.goal)]
    for tried in modest[1:]:
        if (same := fitted(variant, machine, tried, near=False).plan) is not None:
            return Nearest(same, tried)
    smaller = [other for other in VARIANTS if other.parameters < variant.parameters]
    for tried in modest:
        found = [made for made in (fitted(other, machine, tried, near=False).plan for other in smaller) if made]
        if found:
            return Nearest(max(found, key=rank), tried)
    return None


def _fitted_on_cpu(variant: Variant, machine: Machine) -> Fit:
    try:
        return Fit(variant, plan(variant, machine))
    except EngineRefused as refused:
        return Fit(variant, None, (str(refused),))


def _needs_cards(variant: Variant) -> str:
    return (
        f"{variant.name} has {variant.weights_gib:.2f} GiB of weights and needs GPUs; none is seen here. "
        f"Unset KVASIR_MODEL for a small model on the CPU, set it to {VARIANTS[-1].name} for an R1 on the CPU, or set "
        "KVASIR_ENGINE_URL to an SGLang server."
    )


def why_no_engine(machine: Machine) -> str | None:
    """Return the sentence for a kind of machine that no engine runs on, None for one where it may."""
    if machine.system == "linux" and machine.architecture in {"x86_64", "AMD64"}:
        return None
    return (
        f"No engine runs on this kind of machine ({machine.system}, {machine.architecture}). "
        "Set KVASIR_ENGINE_URL to an SGLang server that runs elsewhere."
    )


def _on_cpu(variant: Variant, machine: Machine, note: str = "") -> Plan:
    if variant.parameters > _CPU_MOST_PARAMETERS and not variant.is_directory:
        raise EngineRefused(_needs_cards(variant))
    needed = _cpu_gib(variant)
    told = machine.memory_bytes > 0  # a machine that is described need not say
    if told and needed > machine.memory_gib:
        raise EngineRefused(
            f"{variant.name} needs about {needed:.1f} GiB of memory on a CPU ({variant.weights_gib:.2f} GiB of them "
            f"weights); this machine has {machine.memory_gib:.1f} GiB. Use a smaller model, or set KVASIR_ENGINE_URL."
        )
    free_gib, nodes = machine.memory_free_bytes / GIB if told else needed, machine.numa_nodes
    kv_tokens, context_tokens = _CPU_KV_TOKENS, min(variant.context_tokens, _CPU_CONTEXT_TOKENS)
    fraction = min(max(_CPU_FRACTION, cpu_fraction(variant, free_gib, kv_tokens, nodes)), _CPU_MOST_FRACTION)
    return Plan(
        variant=variant,
        device="cpu",
        context_tokens=context_tokens,
        kv_tokens=max(1, min(kv_tokens, cpu_kv_tokens(variant, free_gib, fraction, nodes))),
        start_deadline_s=_CPU_START_DEADLINE_S,
        memory_fraction=fraction,
        running_requests=_CPU_RUNNING_REQUESTS,
        total_tokens=kv_tokens,
        threads=max(1, machine.cores // _CORES_PER_THREAD),
        people=_CPU_RUNNING_REQUESTS,
        note=note,
    )


def _cpu_gib(variant: Variant) -> float:
    """Return the memory that SGLang takes with a model on a CPU, in GiB."""
    return variant.weights_gib + _CPU_KV_TOKENS * variant.kv_bytes_per_token / GIB + _CPU_OVERHEAD_GIB
