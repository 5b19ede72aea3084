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
from engine.installation.installer import NEEDED_BYTES, Installer, Kind, kind_of, plain_name
from engine.planning import fit
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, nickname
from engine.planning.hardware import Machine
from engine.planning.variant import GIB, published_bytes
from engine.process import flags
from engine.weights.availability import obtainable
from engine.weights.listing import refuse_pickles
from engine.weights.safetensors import damages
from engine.weights.store import Weights, assembly_bytes

_DRIVERS = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_LAST_PORT = 65535


class Checkup:
    """The looks at one machine, for the model that KVASIR_MODEL names."""

    def __init__(self, model: str | None, machine: Machine, installer: Installer, weights: Weights) -> None:
        """Take the machine as it was just probed."""
        self._model = model
        self._machine = machine
        self._installer = installer
        self._weights = weights

    def driver(self, pci: Path = _DRIVERS) -> str:
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
            if any(_nvidia_cards(pci)):
                raise EngineRefused(
                    "There is an NVIDIA card in this machine, and no driver answers. Install NVIDIA's driver until "
                    "`nvidia-smi` shows the card; start a container with --gpus all."
                )
            return "none needed: there is no GPU"
        if machine.vendor != "nvidia":
            return f"cards of {machine.vendor}, which Kvasir does not start by itself: set KVASIR_ENGINE_URL"
        needed = self._installer.pins("cuda")["nvidia-cuda-runtime"]
        wanted = min(needed, key=_major)
        if machine.cuda and _major(machine.cuda) < _major(wanted):
            raise EngineRefused(
                f"The driver {machine.driver} serves CUDA {machine.cuda} at most, and the engine needs CUDA "
                f"{_major(wanted)}. Install a newer driver (`nvidia-smi` shows its CUDA at the top right)."
            )
        return f"{machine.driver} for CUDA {machine.cuda}; the engine needs CUDA {_major(wanted)}"

    def cards(self) -> str:
        """Say which cards there are and what others have taken of them."""
        if not self._machine.cards:
            return "no GPU: the engine runs a small model on the CPU, not an R1"
        told = []
        for card in self._machine.cards:
            busy = f", {card.busy_gib:.1f} of them in use" if card.busy_gib else ""
            told.append(f"{card.name} ({card.memory_gib:.1f} GiB{busy})")
        return ", ".join(told)

    def memory(self) -> str:
        """Say how much main memory and how many cores an engine may use."""
        machine = self._machine
        return (
            f"{machine.memory_gib:.1f} GiB, {machine.memory_free_bytes / GIB:.1f} free; {machine.cores} cores "
            "(limits of a container are counted)"
        )

    def model(self) -> str:
        """Say which model is planned, how, and why.

        Raises:
            EngineRefused: it does not fit, or there is no such model; the text has the numbers and what works.

        """
        made = self._plan()
        how = f"{made.variant.name}, {made.weights.precision}, on the {made.device.upper()}"
        if made.device != "cpu":
            how += f" with {made.context_tokens:,} tokens of context, {made.people} at once"
        said = nickname(self._model) if self._model else None
        return ". ".join(filter(None, (how, said and said.rstrip("."), made.note.rstrip("."))))

    async def weights(self) -> str:
        """Say where the planned weights are, or how much is to be fetched and whether there is room.

        Raises:
            InstallError: there is no room, or what lies there is damaged.

        """
        made = await obtainable(self._plan(), self._weights)
        folder = await asyncio.to_thread(self._weights.place, made.weights)
        if folder is not None:
            await asyncio.to_thread(_lengths, folder)
            return f"{folder} has them, as long as they should be"
        size = published_bytes(made.variant, made.weights)
        missing = await asyncio.to_thread(self._weights.missing_bytes, made.weights, size)
        free = self._machine.disk_free_bytes
        told = f"{made.weights.repo}: about {missing / GIB:.1f} of {size / GIB:.1f} GiB are to be fetched"
        if (pieces := made.weights.pieces) is not None:
            missing = assembly_bytes(pieces)
            told = (
                f"{made.weights.repo}: about {pieces.size_bytes / GIB:.1f} GiB are to be fetched in pieces, "
                f"which take up to {missing / GIB:.1f} GiB until they are converted"
            )
        if missing > free:
            raise InstallError(
                f"{told}, and {free / GIB:.1f} GiB are free. Free some, or set KVASIR_CACHE to a larger disk."
            )
        return f"{told}, {free / GIB:.1f} GiB are free"

    def old_weights(self) -> str:
        """Say which folders of weights no start loads any more, and how to be rid of them."""
        known = (*VARIANTS, *SMALL_MODELS)
        found = self._weights.superseded(one for variant in known for one in variant.checkpoints)
        if not found:
            return "none: each model's folder is of the commit that is loaded"
        size = sum(size for _, size in found) / GIB
        command = shlex.join(["rm", "-r", *(str(folder) for folder, _ in found)])
        return f"{size:.1f} GiB of earlier commits, which no start loads any more. To be rid of them: {command}"

    async def origin(self) -> str:
        """Ask the place that the weights come from once, if anything is to be fetched.

        Raises:
            InstallError: it is away or refuses; the text names the next step.

        """
        made = await obtainable(self._plan(), self._weights)
        if not await asyncio.to_thread(self._weights.to_fetch, made.weights):
            return "not asked: nothing is to be fetched"
        if made.weights.pieces is not None:
            return f"{made.note} It has {len(made.weights.pieces.wheels)} pieces of it."
        shown, found = await self._weights.look(made.weights)
        size = found.size_bytes / GIB
        return f"{shown} has {made.weights.repo} at {found.revision[:12]}: {len(found.files)} files, {size:.1f} GiB"

    def environment(self) -> str:
        """Say whether SGLang is installed, in the release that is pinned, with the packages that are pinned.

        Raises:
            InstallError: a package is another than the pinned one, or there is no room to install them.

        """
        kind = kind_of(self._plan().device)
        pins, folder = self._installer.pins(kind), self._installer.environment(kind)
        pinned = next(iter(pins["sglang"]))
        if not self._installer.installed(kind):
            return self._to_install(kind, pinned)
        found = flags.release(self._installer.python(kind))
        wrong = [] if found == pinned else [f"SGLang {found or 'missing'} instead of {pinned}"]
        wrong += sorted(_differing(folder, pins))
        if wrong:
            raise InstallError(
                f"{folder} has {', '.join(wrong[:3])}{' and more' if len(wrong) > 3 else ''}. "  # noqa: PLR2004
                "Remove that folder: `kvasir run` makes it anew."
            )
        return f"SGLang {pinned} as pinned, in {folder}"

    def _to_install(self, kind: Kind, pinned: str) -> str:
        free = self._machine.disk_free_bytes
        told = f"SGLang {pinned} is not installed yet; it takes up to {NEEDED_BYTES[kind] / GIB:.0f} GiB"
        if free < NEEDED_BYTES[kind]:
            raise InstallError(
                f"{told}, and {free / GIB:.1f} are free. Free some, or set KVASIR_CACHE to a larger disk."
            )
        return f"{told}, and `kvasir run` does it"

    def _plan(self) -> fit.Plan:
        return fit.chosen(self._model, self._machine)


def port_is_free(port: int, host: str, variable: str) -> str:
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


def _nvidia_cards(pci: Path) -> Iterator[Path]:
    """Yield the display controllers of NVIDIA, as the kernel lists them, driver or not."""
    for device in pci.glob("*"):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            yield device


def _lengths(folder: Path) -> None:
    """Return if the weights in a folder are as long as their headers say.

    Raises:
        InstallError: they are not, or are not there.

    """
    if not folder.is_dir():
        raise InstallError(f"There is no folder {folder}. Put the model's files there, or check KVASIR_WEIGHTS.")
    refuse_pickles((path.name for path in folder.iterdir()), str(folder))
    for found in damages(folder):
        raise InstallError(f"{folder / found.name} {found.why}. Copy it again.")


def _differing(folder: Path, pins: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the packages of an environment whose version is none of the pinned ones."""
    for site in folder.glob("lib/python*/site-packages"):
        for found in distributions(path=[str(site)]):
            name = plain_name(found.name)
            if name != "sglang" and name in pins and found.version not in pins[name]:
                yield f"{name} {found.version} instead of {' or '.join(sorted(pins[name]))}"


def _major(version: str) -> int:
    return int(version.partition(".")[0])
