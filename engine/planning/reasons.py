"""Pure: explain in numbers why a model does not fit, and correct common false claims."""

from __future__ import annotations

from engine.planning.candidates import list_layouts, list_usable_checkpoints, required_capability
from engine.planning.hardware import Machine
from engine.planning.memory import (
    CONTEXT_GIB,
    Layout,
    estimate_free_gib,
    estimate_kv_bytes_per_card,
    estimate_loading_gib,
    estimate_reserve_gib,
    estimate_weights_gib_per_card,
)
from engine.planning.plans import LaunchPlan, NearestFit, PlanRequirements, choose_min_context_tokens
from engine.planning.variant import GIB, Checkpoint, Variant, estimate_weights_bytes

_CLAIMED_SAVING = 75
_SMALL_CARD_GIB = 25


def explain_misfit(
    variant: Variant, machine: Machine, requirements: PlanRequirements, nearest: NearestFit | None
) -> tuple[str, ...]:
    """Return the reasons, one for each precision that the cards can compute, and the next step."""
    reasons = []
    if (requirements.context_tokens or 0) > variant.context_tokens:
        reasons.append(f"{variant.name} has a context of at most {variant.context_tokens} tokens.")
    able = list_usable_checkpoints(variant, machine, requirements)
    if not able:
        reasons.append(_explain_missing_checkpoint(variant, machine, requirements))
    first = {checkpoint.precision: checkpoint for checkpoint in reversed(able)}
    reasons += [_explain_size(variant, machine, requirements, checkpoint) for checkpoint in reversed(first.values())]
    return (*reasons, _suggest_next_step(nearest, machine))


def list_false_claims(
    variant: Variant, machine: Machine, requirements: PlanRequirements, plan: LaunchPlan | None
) -> tuple[str, ...]:
    """Return common false claims about this combination, each with the numbers against it."""
    claims = (
        _deny_full_r1(variant, machine),
        _deny_quarter_size(
            variant,
            plan.weights
            if plan is not None
            else next((one for one in variant.checkpoints if one.precision == requirements.precision == "int4"), None),
        ),
        _deny_large_on_small_card(variant, machine),
    )
    return tuple(claim for claim in claims if claim is not None)


def _deny_full_r1(variant: Variant, machine: Machine) -> str | None:
    """Deny that the 671B runs in sixteen or eight bits on cards that are too small."""
    if variant.family != "mla" or not machine.cards:
        return None
    layout = Layout(tp=len(machine.cards) * machine.nodes, nodes=machine.nodes)
    false = [
        (label, checkpoint)
        for label, checkpoint in (
            ("FP16", Checkpoint("", "bf16")),
            ("its native FP8", Checkpoint("", "fp8", group=128)),
        )
        if estimate_free_gib(variant, checkpoint, machine.card_gib, layout) <= 0
    ]
    if not false:
        return None
    count, card = layout.tp, machine.card_gib
    usable_gib = card - CONTEXT_GIB - estimate_reserve_gib(variant, card, layout)
    sizes = " and ".join(f"{estimate_weights_bytes(variant, one) / GIB:.1f} GiB in {label}" for label, one in false)
    shares = " and ".join(f"{estimate_weights_bytes(variant, one) / GIB / count:.1f}" for _, one in false)
    return (
        f'A common claim is false: "the 671B runs in {" or ".join(label for label, _ in false)} on {count} cards of '
        f'{card:.1f} GiB". Its weights are {sizes}, which is {shares} GiB a card. '
        f"The CUDA context and SGLang's reserve leave {usable_gib:.1f} GiB a card for weights and context."
        f"{_explain_missing_fp8(variant, machine)}"
    )


def _explain_missing_fp8(variant: Variant, machine: Machine) -> str:
    """Return that such cards cannot compute R1's own precision, in any number; "" if they can."""
    needed = required_capability(variant.checkpoints[0])
    if machine.capability is None or machine.capability >= needed:
        return ""
    return (
        f" These cards (compute capability {machine.capability / 10:.1f}) also cannot compute its FP8, in any number: "
        f"SGLang needs {needed / 10:.1f} for experts in FP8."
    )


def _deny_quarter_size(variant: Variant, checkpoint: Checkpoint | None) -> str | None:
    """Deny that four bits are a quarter of sixteen."""
    if checkpoint is None or checkpoint.precision != "int4":
        return None
    whole, small = 2 * variant.parameters / GIB, estimate_weights_bytes(variant, checkpoint) / GIB
    saved, context_kib = 100 * (1 - small / whole), variant.kv_bytes_per_token / 1024
    return (
        f'A common claim is false: "4-bit saves {_CLAIMED_SAVING} %". For {variant.name} it saves {saved:.0f} % of the '
        f"weights ({whole:.1f} GiB become {small:.1f}). Embedding and output head stay in 16 bits, and each group has "
        f"its own scale. Context does not shrink: it takes {context_kib:.0f} KiB a token."
    )


def _deny_large_on_small_card(variant: Variant, machine: Machine) -> str | None:
    """Deny that a 32B runs on one card of 24 GB."""
    if variant.family != "gqa" or len(machine.cards) * machine.nodes != 1 or machine.card_gib > _SMALL_CARD_GIB:
        return None
    smallest = min(variant.checkpoints, key=lambda checkpoint: estimate_weights_bytes(variant, checkpoint))
    if smallest.precision != "int4" or estimate_free_gib(variant, smallest, machine.card_gib, Layout()) > 0:
        return None
    size, reserve = (
        estimate_weights_bytes(variant, smallest) / GIB,
        estimate_reserve_gib(variant, machine.card_gib, Layout()),
    )
    return (
        f"A common claim is false: \"{variant.name} runs on one card of {machine.card_gib:.1f} GiB with SGLang's "
        f'defaults". In 4 bits its weights are {size:.1f} GiB. SGLang reserves {reserve:.1f} GiB by default and CUDA '
        f"{CONTEXT_GIB} GiB, so {size + reserve + CONTEXT_GIB:.1f} GiB are needed before any context."
    )


def _explain_size(variant: Variant, machine: Machine, requirements: PlanRequirements, checkpoint: Checkpoint) -> str:
    card, layout = machine.card_gib, _find_widest_layout(variant, checkpoint, machine)
    whole, share = (
        estimate_weights_bytes(variant, checkpoint) / GIB,
        estimate_weights_gib_per_card(variant, checkpoint, layout),
    )
    reserve = estimate_reserve_gib(variant, card, layout)
    left = estimate_free_gib(variant, checkpoint, card, layout)
    tokens = requirements.context_tokens or choose_min_context_tokens(variant)
    each_gib = estimate_kv_bytes_per_card(variant, layout) / GIB
    context = f"{tokens} tokens of context" + (
        f" for each of {requirements.people} people" if requirements.people > 1 else ""
    )
    room = f"leaves {left:.1f} GiB, but" if left > 0 else f"is {-left:.1f} GiB too much, and"
    loading = estimate_loading_gib(variant, checkpoint, layout)
    first = f" Loading takes {loading:.1f} GiB a card, before SGLang quantizes the weights." if loading else ""
    return (
        f"{variant.name} does not fit in {checkpoint.precision}: its weights are {whole:.1f} GiB, {share:.1f} GiB on "
        f"{_format_each_card(layout.tp * layout.pp)} of {card:.1f} GiB. SGLang reserves {reserve:.1f} GiB and CUDA "
        f"{CONTEXT_GIB} GiB. That {room} {context} take {tokens * requirements.people * each_gib:.1f} GiB.{first}"
    )


def _find_widest_layout(variant: Variant, checkpoint: Checkpoint, machine: Machine) -> Layout:
    return max(list_layouts(variant, checkpoint, machine), key=lambda one: (one.tp * one.pp, one.attn_dp == 1, one.tp))


def _explain_missing_checkpoint(variant: Variant, machine: Machine, requirements: PlanRequirements) -> str:
    formats = "; ".join(f"{one.precision} from {required_capability(one) / 10:.1f}" for one in variant.checkpoints)
    precision = f" in {requirements.precision}" if requirements.precision else ""
    capability = machine.capability
    cards = f"compute capability {capability / 10:.1f}" if capability else "these cards"
    return f"Kvasir knows no checkpoint of {variant.name}{precision} for {cards} (known: {formats})."


def _suggest_next_step(nearest_fit: NearestFit | None, machine: Machine) -> str:
    if nearest_fit is None:
        return "No smaller R1 fits either. Set KVASIR_ENGINE_URL to an SGLang server on a larger machine."
    nearest, layout = nearest_fit.plan, nearest_fit.plan.layout
    return (
        f"What works here: {nearest.variant.name} in {nearest.weights.precision} on {_format_cards(layout.cards)}, "
        f"{nearest.context_tokens} tokens of context, {nearest.people} at once. "
        f"{_suggest_command(nearest_fit, machine)} Set KVASIR_MODEL to {nearest.variant.name}, or "
        "KVASIR_ENGINE_URL to an SGLang server on a larger machine."
    )


def _suggest_command(nearest: NearestFit, machine: Machine) -> str:
    """Return the command that shows what works."""
    plain, requirements = PlanRequirements(), nearest.requirements
    flags = (
        (f" --context {requirements.context_tokens}", requirements.context_tokens != plain.context_tokens),
        (f" --people {requirements.people}", requirements.people != plain.people),
        (f" --precision {requirements.precision}", requirements.precision != plain.precision),
        (f" --for {requirements.goal}", requirements.goal != plain.goal),
        (" --offload", requirements.offload),
    )
    options = "".join(flag for flag, is_set in flags if is_set)
    where = " with the same --machine" if machine.is_described else ""
    return f"`kvasir fit {nearest.plan.variant.name}{options}`{where} shows how to start it."


def _format_cards(count: int) -> str:
    return "1 card" if count == 1 else f"{count} cards"


def _format_each_card(count: int) -> str:
    return "the card" if count == 1 else f"each of {count} cards"
