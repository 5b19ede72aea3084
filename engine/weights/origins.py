"""Create the origin that the settings choose: a hub or a bucket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from engine.errors import InstallError
from engine.weights.bucket import BucketOrigin
from engine.weights.hub import HubOrigin
from engine.weights.origin import Origin, WeightsSource


@contextlib.asynccontextmanager
async def open_origin(source: WeightsSource, timeout_s: float | None = None) -> AsyncIterator[Origin]:
    """Yield the origin and close it at the end. Nothing is connected before the first request.

    ``timeout_s`` bounds how long a listing waits for a hub; None for the usual time.

    Raises:
        InstallError: the source is a folder, from which Kvasir downloads nothing.

    """
    origin = _create_origin(source, timeout_s)
    try:
        yield origin
    finally:
        await origin.close()


def _create_origin(source: WeightsSource, timeout_s: float | None) -> Origin:
    if source.place is None:
        return HubOrigin(source.endpoint, source.token, timeout_s)
    if source.is_bucket:
        return BucketOrigin(source.place)
    raise InstallError(f"KVASIR_WEIGHTS is the folder {source.place}, and Kvasir downloads nothing from a folder.")
