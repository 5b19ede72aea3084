"""``kvasir fit``: show which R1 runs on which machine and how, or why it does not fit, in numbers."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from bot.cli.fit_view import fit_json, machine_line, markdown_table, show_fit, show_table, table_json
from bot.config.settings import read_cache_folder
from bot.terminal.output import print_json, print_note, print_result
from engine.planning.cards import parse_machine
from engine.planning.catalogue import VARIANTS, explain_nickname, resolve_model
from engine.planning.fit import AUTO, choose_small_model, find_best_plan, fit_variant
from engine.planning.hardware import Machine
from engine.planning.machine_probe import probe_machine
from engine.planning.plans import FitResult, PlanRequirements

_PROBE_DEADLINE_S = 30.0


async def main(arguments: argparse.Namespace) -> int:
    """Print a table of all variants, or one variant in full; exit status 1 if that one does not fit."""
    machine = parse_machine(arguments.machine) if arguments.machine else await _probe_this_machine()
    wish = PlanRequirements(arguments.context, arguments.people, arguments.goal, arguments.precision, arguments.offload)
    if arguments.variant is None:
        fits = [fit_variant(variant, machine, wish) for variant in VARIANTS]
        if arguments.json:
            print_json(table_json(machine, fits, find_best_plan(machine, wish)))
        elif arguments.markdown:
            print_result(markdown_table(fits, find_best_plan(machine, wish)))
        else:
            show_table(machine, fits, find_best_plan(machine, wish), sys.stdout)
        return 0
    found = _fit_one(arguments.variant, machine, wish)
    if arguments.json:
        print_json(fit_json(found))
    else:
        if (real_name := explain_nickname(arguments.variant)) is not None:
            print_note(real_name)
        print_result(machine_line(machine))
        show_fit(found, sys.stdout)
    return 0 if found.plan is not None else 1


def _fit_one(name: str, machine: Machine, wish: PlanRequirements) -> FitResult:
    if name.strip().lower() != AUTO:
        return fit_variant(resolve_model(name), machine, wish)
    chosen = find_best_plan(machine, wish)
    if chosen is not None:
        return fit_variant(chosen.variant, machine, wish)
    each = f" with {wish.context_tokens} tokens each" if wish.context_tokens else ""
    small, why = choose_small_model(machine)
    misfit = f"No R1 fits on the GPUs here as requested ({wish.people} at once{each})"
    print_note(
        f"{misfit if machine.cards else 'There is no GPU here'}, so {AUTO} takes {small.name}, a small model on the "
        f"CPU, not an R1: {why} `kvasir fit VARIANT` explains what is missing, and what fits instead."
    )
    return fit_variant(small, machine, wish)


async def _probe_this_machine() -> Machine:
    async with asyncio.timeout(_PROBE_DEADLINE_S):
        return await asyncio.to_thread(probe_machine, read_cache_folder(os.environ, Path.cwd()))
