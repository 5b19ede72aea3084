"""The one list of embedders: what opens each, and what its cosines mean."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Final

from knowledge.embedding.calibration import UNCALIBRATED, EmbedderCalibration
from knowledge.embedding.local_e5.calibration import CALIBRATION as E5_CALIBRATION
from knowledge.interfaces import Embedder
from knowledge.interfaces.embedding import ReportLine, UnpackWheel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """The declaration of an embedder: which vectors it makes, the function that opens it, and its constants."""

    identity: str
    """The ``Embedder.identity`` with which the constants were measured. If its vectors change, both change."""
    implementation: str
    """``module:function``, imported when it is opened. It takes what ``open_embedder`` passes on, and ``options``."""
    calibration: EmbedderCalibration = UNCALIBRATED
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Further arguments of that function, such as an address and a key."""
    addresses: tuple[str, ...] = field(kw_only=True)


EMBEDDERS: Final = (
    EmbedderSpec(
        "multilingual-e5-small:1571fc982750:int8:6.1",
        "knowledge.embedding.local_e5.embedder:open_e5",
        E5_CALIBRATION,
        addresses=(),
    ),
)
"""All embedders; the first one is the default (``KnowledgeSettings.embedder``)."""

IDENTITY: Final = EMBEDDERS[0].identity


async def open_embedder(
    spec: EmbedderSpec, cache: Path, unpack_wheel: UnpackWheel, progress: ReportLine | None = None
) -> Embedder:
    """Open an embedder; a warning in the log says if it is not calibrated.

    Args:
        spec: of the embedder.
        cache: the folder of files that can be made again.
        unpack_wheel: unpacks a package with weights. Its errors are raised unchanged.
        progress: gets lines for a person about what takes long the first time.

    Raises:
        EmbedderError: it cannot be opened.

    """
    embedder: Embedder = await resolve_name(spec.implementation)(cache, unpack_wheel, progress=progress, **spec.options)
    if explanation := explain_uncalibrated(embedder.identity):
        _log.warning(explanation)
    return embedder


def find_calibration(identity: str) -> EmbedderCalibration:
    """Return the constants of an embedder by its identity; ``UNCALIBRATED`` if there are none."""
    return next((spec.calibration for spec in EMBEDDERS if spec.identity == identity), UNCALIBRATED)


def explain_uncalibrated(identity: str) -> str:
    """Return what an embedder without constants does not do, and the next step; "" for one with constants."""
    if find_calibration(identity) is not UNCALIBRATED:
        return ""
    return (
        f"Nothing was measured with the embedder {identity}, so shared words decide what is supported, and verified "
        "answers to similar questions are not offered. Calibrate it (CONTRIBUTING.md: An embedder)."
    )
