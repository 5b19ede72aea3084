"""The output of ``kvasir fit``: for a terminal, as JSON, and as Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from engine.notes import join_notes
from engine.planning.fit import choose_small_model
from engine.planning.hardware import Machine
from engine.planning.launch import build_manual_commands
from engine.planning.plans import FitResult, LaunchPlan
from engine.planning.speed import ESTIMATE_BASIS
from engine.planning.variant import estimate_quality

_NO_TERMINAL = 140
_MILLION = 1_000_000
_COLUMNS = (
    "variant",
    "runs",
    "cards",
    "weights a card",
    "context for all",
    "at once",
    "first token",
    "tokens/s",
    "of R1",
)


def fit_json(found: FitResult) -> dict[str, object]:
    """Return one variant in the shape that scripts rely on; without a plan, its fields are null."""
    plan = found.plan
    speed = plan.speed if plan else None
    commands = [list(command) for command in build_manual_commands(plan)] if plan else []
    return {
        "variant": found.variant.name,
        "fits": plan is not None,
        "precision": plan and plan.weights.precision,
        "checkpoint": plan and plan.weights.repo,
        "tp": plan and plan.layout.tp,
        "dp": plan and max(plan.layout.dp, plan.layout.attn_dp),
        "pp": plan and plan.layout.pp,
        "ep": plan and plan.layout.ep,
        "kv_dtype": plan and plan.kv_dtype,
        "weights_gib_per_gpu": plan and round(plan.weights_gib_per_card, 2),
        "kv_tokens": plan and plan.kv_tokens,
        "context": plan and plan.context_tokens,
        "people": plan and plan.people,
        "argv": commands[0] if plan else [],
        "reasons": list(found.reasons),
        "nodes": plan and plan.layout.nodes,
        "attention_dp": plan and plan.layout.attn_dp,
        "memory_fraction": plan and plan.memory_fraction,
        "cpu_offload_gib": plan and plan.offload_gib,
        "argv_by_node": commands,
        "estimate": speed
        and {
            "first_token_s": round(speed.first_token_s, 3),
            "tokens_per_s": round(speed.tokens_per_s, 1),
            "answer_s": round(speed.answer_s, 1),
            "source": ESTIMATE_BASIS,
        },
        "nearest": found.nearest and found.nearest.variant.name,
        "claims": list(found.claims),
        "note": join_notes(plan.notes) if plan else "",
        "licence": found.variant.licence,
    }


def table_json(machine: Machine, fits: Sequence[FitResult], chosen: LaunchPlan | None) -> dict[str, object]:
    """Return all variants as one object."""
    return {
        "machine": machine_line(machine),
        "auto": chosen and chosen.variant.name,
        "variants": [fit_json(found) for found in fits],
    }


def machine_line(machine: Machine) -> str:
    """Return a machine in one line."""
    memory = f"{machine.memory_gib:.0f} GiB of memory" if machine.memory_bytes else ""
    if not machine.cards:
        return ", ".join(part for part in ("no GPU", memory) if part)
    nodes = f"{machine.nodes} nodes with " if machine.nodes > 1 else ""
    cards = f"{nodes}{len(machine.cards)} x {machine.cards[0].name}, {machine.card_gib:.1f} GiB each"
    driver = f"driver {machine.driver}, CUDA {machine.cuda}" if machine.driver else ""
    busy_gib = max(card.busy_gib for card in machine.cards)
    busy = f"up to {busy_gib:.1f} GiB of a card in use now (the plans assume free cards)" if busy_gib else ""
    return ", ".join(part for part in (cards, busy, memory, driver) if part)


def show_table(machine: Machine, fits: Sequence[FitResult], chosen: LaunchPlan | None, stream: TextIO) -> None:
    """Write a row for each variant; below, the choice of ``auto`` and the origin of the figures."""
    table = Table(*_COLUMNS, box=None, header_style="bold", pad_edge=False)
    for found in fits:
        table.add_row(*variant_row(found), style="" if found.plan else "dim")
    console = _create_console(stream)
    console.print(machine_line(machine))
    console.print(table)
    console.print()
    console.print(f"auto: {chosen.variant.name if chosen else _describe_small_model(machine)}", soft_wrap=True)
    console.print(f"First token and tokens/s: {ESTIMATE_BASIS}.", soft_wrap=True)
    console.print("`kvasir fit VARIANT` shows a variant in full: its command, or why it does not fit.", soft_wrap=True)


def _describe_small_model(machine: Machine) -> str:
    variant, why = choose_small_model(machine)
    return f"{variant.name}, a small model on the CPU, not an R1. {why}"


def variant_row(found: FitResult) -> tuple[str, ...]:
    """Return the cells of one variant."""
    plan, name = found.plan, found.variant.name.removeprefix("DeepSeek-")
    if plan is None:
        return (name, "no", *[""] * (len(_COLUMNS) - 2))
    speed = plan.speed
    return (
        name,
        plan.weights.precision + (", fp8 context" if plan.kv_dtype != "auto" else ""),
        _describe_cards(plan),
        f"{plan.weights_gib_per_card:.1f} GiB",
        _format_tokens(plan.kv_tokens),
        str(plan.people),
        f"{speed.first_token_s:.2f} s" if speed else "",
        f"{speed.tokens_per_s:.0f}" if speed else "",
        f"{100 * estimate_quality(found.variant, plan.weights.precision):.0f} %" if found.variant.scores else "",
    )


def show_fit(found: FitResult, stream: TextIO) -> None:
    """Write one variant in full."""
    _create_console(stream).print("\n".join(fit_lines(found)), soft_wrap=True, markup=False)


def fit_lines(found: FitResult) -> list[str]:
    """Return the lines of one variant: the plan and its command, or why it does not fit; then false claims."""
    lines = [f"{found.variant.name} ({found.variant.licence})"]
    if found.plan is None:
        lines += ["does not fit.", *found.reasons]
    elif found.plan.device == "cpu":  # SGLang itself needs other CPUs, or Kvasir's platform
        lines += [*_plan_lines(found.plan), "", f"Set KVASIR_MODEL={found.variant.name}; `kvasir run` starts it."]
    else:
        commands = [shlex.join(command) for command in build_manual_commands(found.plan)]
        if len(commands) > 1:
            commands.insert(0, "One command for each node, with the first node's address for FIRST_NODE:")
        lines += [*_plan_lines(found.plan), "", *commands]
    return [*lines, *(f"\n{claim}" for claim in found.claims)]


def _plan_lines(plan: LaunchPlan) -> list[str]:
    kv_dtype = "bf16" if plan.kv_dtype == "auto" else plan.kv_dtype
    on_each = "" if plan.device == "cpu" else " on each"
    lines = [
        f"{plan.weights.precision} from {plan.weights.repo}",
        f"{_describe_placement(plan)}, {plan.weights_gib_per_card:.1f} GiB of weights{on_each}",
        f"{plan.kv_tokens} tokens of context in all ({kv_dtype}), {plan.context_tokens} for one request",
        f"{plan.people} {'person' if plan.people == 1 else 'people'} at once",
    ]
    if plan.speed is not None:
        first, rate, whole = plan.speed.first_token_s, plan.speed.tokens_per_s, plan.speed.answer_s
        lines.append(
            f"first token after {first:.2f} s, {rate:.0f} tokens/s, an answer in {whole:.0f} s ({ESTIMATE_BASIS})"
        )
    return [*lines, *([join_notes(plan.notes)] if plan.notes else [])]


def markdown_table(fits: Sequence[FitResult], chosen: LaunchPlan | None) -> str:
    """Return the variants of a machine as a Markdown table, and the command of the one that ``auto`` takes."""
    head = [_COLUMNS[:6], ("---",) * 6]
    rows = [[cell or "–" for cell in variant_row(found)[:6]] for found in fits]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (*head, *rows))
    if chosen is None:
        return table
    commands = "\n\n".join(shlex.join(command).replace(" --", " \\\n  --") for command in build_manual_commands(chosen))
    return f"{table}\n\n`auto` takes **{chosen.variant.name}**:\n\n```sh\n{commands}\n```"


def _describe_cards(plan: LaunchPlan) -> str:
    layout = plan.layout
    if plan.device == "cpu":
        return "the CPU"
    parts = [("tp", layout.tp), ("pp", layout.pp), ("dp", layout.dp), ("attention dp", layout.attn_dp)]
    how = ", ".join(f"{name} {size}" for name, size in parts if size > 1)
    nodes = f" on {layout.nodes} nodes" if layout.nodes > 1 else ""
    return f"{layout.cards}{nodes}" + (f" ({how})" if how else "")


def _describe_placement(plan: LaunchPlan) -> str:
    """Return where a plan runs: ``4 cards (tp 4)`` or ``on the CPU``."""
    if plan.device == "cpu":
        return "on the CPU"
    count, _, how = _describe_cards(plan).partition(" ")
    return f"{count} {'card' if count == '1' else 'cards'} {how}".rstrip()


def _format_tokens(tokens: int) -> str:
    return f"{tokens / 1e6:.2f}M" if tokens >= _MILLION else f"{tokens / 1e3:.0f}k"


def _create_console(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False)
    return console if console.is_terminal else Console(file=stream, highlight=False, width=_NO_TERMINAL)
