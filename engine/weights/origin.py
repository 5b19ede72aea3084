"""Where weights come from: the interface of an origin, and the settings that choose one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.weights.listing import ModelListing, RemoteFile

DEFAULT_HUB = "https://huggingface.co"


class TransientOriginError(Exception):
    """Something that may go well the next time: a cut connection, an overloaded or restarting server."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        """``retry_after_s``: how long the server asked to be left alone."""
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Origin(Protocol):
    """A place with models under the names that the hub gives them."""

    @property
    def label(self) -> str:
        """Return the place as a person is told of it, without credentials."""

    async def list_files(self, repo: str, revision: str | None) -> ModelListing:
        """Return what there is of a model, at that revision or at the newest.

        Raises:
            Passing: it may go well the next time.
            InstallError: it will not; says why and the next step.

        """

    def read(self, repo: str, revision: str, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        """Stream a file's bytes from ``offset``; raise as ``list_files``, and ``TransientOriginError`` if it is cut."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """What the configuration says of where weights come from."""

    place: str | None = None
    """A folder or ``s3://bucket/prefix`` with models under their hub's names (``KVASIR_WEIGHTS``); None for the hub."""
    endpoint: str = DEFAULT_HUB
    """Of the hub or of a mirror of it (``HF_ENDPOINT``)."""
    token: str | None = field(default=None, repr=False)
    """The hub's (``HF_TOKEN``)."""

    @property
    def folder(self) -> Path | None:
        """Return the folder that models are used in where they lie, None for an origin that they are fetched from."""
        return None if self.place is None or self.is_bucket else Path(self.place).expanduser()

    @property
    def is_bucket(self) -> bool:
        """Say whether it is an S3 bucket."""
        return self.place is not None and self.place.startswith("s3://")
