"""What an engine of one's own needs of this machine, one by one: each look says what is well, or raises what is not.

Nothing is installed, fetched or started.
"""

from __future__ import annotations

import asyncio
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
from engine.planning import fit
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, explain_nickname
from engine.planning.hardware import Machine
from engine.planning.plans import LaunchPlan
from engine.planning.variant import GIB, estimate_download_bytes
from engine.process import flags
from engine.weights.availability import choose_obtainable_plan
from engine.weights.listing import require_safetensors
from engine.weights.safetensors import find_damage
from engine.weights.store import WeightsStore, estimate_assembly_bytes

_PCI_DEVICES = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_LAST_PORT = 65535


class Preflight:
    """The looks at one machine, for the model that KVASIR_MODEL names."""

    def __init__(self, model: str | None, machine: Machine, installer: Installer, weights: WeightsStore) -> None:
        """Take the machine as it was just probed."""
        self._model = model
        self._machine = machine
        self._installer = installer
        self._weights = weights
        self._plan: LaunchPlan | None = None

    def check_driver(self, pci: Path = _PCI_DEVICES) -> str:
        """Say which driver and CUDA the cards have.

        Raises:
            EngineRefused: a card has no driver that answers, or one too old for the engine's packages, or is hidden.

        """
        machine = self._machine
        if not machine.cards:
            if machine.driver:
                raise EngineRefused(
                    f"NVIDIA's driver {machine.driver} answers, and shows this process no card. Where MIG is on, make "
                    "an instance (`nvidia-smi mig -cgi PROFILE -C`) or turn MIG off; or CUDA_VISIBLE_DEVICES hides the "
                    "cards: unset it."
                )
            if any(_list_nvidia_devices(pci)):
                raise EngineRefused(
                    "There is an NVIDIA card in this machine, and no driver answers. Install NVIDIA's driver until "
                    "`nvidia-smi` shows the card; start a container with --gpus all."
                )
            return "none needed: there is no GPU"
        if machine.vendor != "nvidia":
            return f"cards of {machine.vendor}, which Kvasir does not start by itself: set KVASIR_ENGINE_URL"
        needed = self._installer.read_pins("cuda")["nvidia-cuda-runtime"]
        wanted = min(needed, key=_parse_major)
        if machine.cuda and _parse_major(machine.cuda) < _parse_major(wanted):
            raise EngineRefused(
                f"The driver {machine.driver} serves CUDA {machine.cuda} at most, and the engine needs CUDA "
                f"{_parse_major(wanted)}. Install a newer driver (`nvidia-smi` shows its CUDA at the top right)."
            )
        return f"{machine.driver} for CUDA {machine.cuda}; the engine needs CUDA {_parse_major(wanted)}"

    def describe_cards(self) -> str:
        """Say which cards there are and what others have taken of them."""
        if not self._machine.cards:
            return "no GPU: the engine runs a small model on the CPU, not an R1"
        told = []
        for card in self._machine.cards:
            busy = f", {card.busy_gib:.1f} of them in use" if card.busy_gib else ""
            told.append(f"{card.name} ({card.memory_gib:.1f} GiB{busy})")
        return ", ".join(told)

    def describe_memory(self) -> str:
        """Say how much main memory and how many cores an engine may use."""
        machine = self._machine
        return (
            f"{machine.memory_gib:.1f} GiB, {machine.memory_free_bytes / GIB:.1f} free; {machine.cores} cores "
            "(limits of a container are counted)"
        )

    async def check_model(self) -> str:
        """Say which model a start loads, how, why, and whether its weights are on this machine.

        Raises:
            EngineRefused: it does not fit, or there is no such model; the text has the numbers and what works.

        """
        made = await self._choose_plan()
        how = f"{made.variant.name}, {made.weights.precision}, on the {made.device.upper()}"
        if made.device != "cpu":
            how += f" with {made.context_tokens:,} tokens of context, {made.people} at once"
        said = explain_nickname(self._model) if self._model else None
        folder = await asyncio.to_thread(self._weights.find_folder, made.weights)
        parts = (how, self._explain_choice(made), said, made.note, _describe_weights_folder(folder))
        return ". ".join(part.rstrip(".") for part in parts if part)

    def _explain_choice(self, made: LaunchPlan) -> str:
        if self._model is None:
            return "KVASIR_MODEL is not set"
        if self._model.strip().lower() != fit.AUTO:
            return "KVASIR_MODEL names it"
        if not made.variant.small_model:
            return f"KVASIR_MODEL={fit.AUTO} takes the best R1 that fits"
        return f"No R1 fits on a GPU of this machine, so KVASIR_MODEL={fit.AUTO} takes a small model"

    async def check_weights(self) -> str:
        """Say where the planned weights are, or how much is to be fetched and whether there is room.

        Raises:
            InstallError: there is no room, or what lies there is damaged.

        """
        made = await self._choose_plan()
        folder = await asyncio.to_thread(self._weights.find_folder, made.weights)
        if folder is not None:
            await asyncio.to_thread(_check_lengths, folder)
            return f"{folder} has them, as long as they should be"
        size = estimate_download_bytes(made.variant, made.weights)
        missing = await asyncio.to_thread(self._weights.count_missing_bytes, made.weights, size)
        free = self._machine.disk_free_bytes
        told = f"{made.weights.repo}: about {missing / GIB:.1f} of {size / GIB:.1f} GiB are to be fetched"
        if (pieces := made.weights.pieces) is not None:
            missing = estimate_assembly_bytes(pieces)
            told = (
                f"{made.weights.repo}: about {pieces.size_bytes / GIB:.1f} GiB are to be fetched in pieces, "
                f"which take up to {missing / GIB:.1f} GiB until they are converted"
            )
        if missing > free:
            raise InstallError(
                f"{told}, and {free / GIB:.1f} GiB are free. Free some, or set KVASIR_CACHE to a larger disk."
            )
        return f"{told}, {free / GIB:.1f} GiB are free"

    def find_old_weights(self) -> str:
        """Say which folders of weights no start loads any more, and how to be rid of them."""
        known = (*VARIANTS, *SMALL_MODELS)
        found = self._weights.list_superseded(one for variant in known for one in variant.checkpoints)
        if not found:
            return "none: each model's folder is of the commit that is loaded"
        size = sum(size for _, size in found) / GIB
        command = shlex.join(["rm", "-r", *(str(folder) for folder, _ in found)])
        return f"{size:.1f} GiB of earlier commits, which no start loads any more. To be rid of them: {command}"

    async def check_origin(self) -> str:
        """Ask the place that the weights come from once, if anything is to be fetched.

        Raises:
            InstallError: it is away or refuses; the text names the next step.

        """
        made = await self._choose_plan()
        if not await asyncio.to_thread(self._weights.needs_download, made.weights):
            return "not asked: nothing is to be fetched"
        if made.weights.pieces is not None:
            return f"{made.note} It has {len(made.weights.pieces.wheels)} pieces of it."
        shown, found = await self._weights.query_origin(made.weights)
        size = found.size_bytes / GIB
        return f"{shown} has {made.weights.repo} at {found.revision[:12]}: {len(found.files)} files, {size:.1f} GiB"

    def check_environment(self) -> str:
        """Say whether SGLang is installed, in the release that is pinned, with the packages that are pinned.

        Raises:
            InstallError: a package is another than the pinned one, or there is no room to install them.

        """
        kind = choose_environment_kind(self._build_plan().device)
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
                "Remove that folder: `kvasir run` makes it anew."
            )
        return f"SGLang {pinned} as pinned, in {folder}"

    def _check_room_to_install(self, kind: EnvironmentKind, pinned: str) -> str:
        free = self._machine.disk_free_bytes
        told = f"SGLang {pinned} is not installed yet; it takes up to {REQUIRED_BYTES[kind] / GIB:.0f} GiB"
        if free < REQUIRED_BYTES[kind]:
            raise InstallError(
                f"{told}, and {free / GIB:.1f} are free. Free some, or set KVASIR_CACHE to a larger disk."
            )
        return f"{told}, and `kvasir run` does it"

    async def _choose_plan(self) -> LaunchPlan:
        """Return the plan that a start would use; the hub is asked once."""
        if self._plan is None:
            self._plan = await choose_obtainable_plan(self._build_plan(), self._weights)
        return self._plan

    def _build_plan(self) -> LaunchPlan:
        return fit.plan_model(self._model, self._machine)


def check_port(port: int, host: str, variable: str) -> str:
    """Say that a server could listen there.

    Raises:
        EngineUnavailable: another program does, or this user may not.

    """
    if port == 0:
        return "any free port"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"({error.strerror})"
            other = port + 1 if port < _LAST_PORT else 0
            raise EngineUnavailable(
                f"Port {port} on {host} {why}. Stop that, or choose another: {variable}={other}."
            ) from None
    return f"{port} is free"


def _list_nvidia_devices(pci: Path) -> Iterator[Path]:
    """Yield the display controllers of NVIDIA, as the kernel lists them, driver or not."""
    for device in pci.glob("*"):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            yield device


def _describe_weights_folder(folder: Path | None) -> str:
    if folder is None:
        return "Its weights are not on this machine yet; `kvasir run` downloads them"
    return f"Its weights are in {folder}" if folder.is_dir() else f"Its weights are missing: there is no {folder}"


def _check_lengths(folder: Path) -> None:
    """Return if the weights in a folder are as long as their headers say.

    Raises:
        InstallError: they are not, or are not there.

    """
    if not folder.is_dir():
        raise InstallError(f"There is no folder {folder}. Put the model's files there, or check KVASIR_WEIGHTS.")
    require_safetensors((path.name for path in folder.iterdir()), str(folder))
    for found in find_damage(folder):
        raise InstallError(f"{folder / found.name} {found.why}. Copy it again.")


def _find_wrong_versions(folder: Path, pins: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the packages of an environment whose version is none of the pinned ones."""
    for site in folder.glob("lib/python*/site-packages"):
        for found in distributions(path=[str(site)]):
            name = normalize_package_name(found.name)
            if name != "sglang" and name in pins and found.version not in pins[name]:
                yield f"{name} {found.version} instead of {' or '.join(sorted(pins[name]))}"


def _parse_major(version: str) -> int:
    return int(version.partition(".")[0])
