"""Where weights come from: the interface of an origin, the files that it lists, and the settings that choose one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.weights.listing import ModelListing, RemoteFile

DEFAULT_HUB = "https://huggingface.co"
_HUB_HOSTS = ("https://*.huggingface.co", "https://*.hf.co")


class TransientOriginError(Exception):
    """A temporary failure: a broken connection, an overloaded or restarting server."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        """``retry_after_s``: how long the server asks clients to wait."""
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Origin(Protocol):
    """A place with models under their hub names."""

    @property
    def label(self) -> str:
        """Return the place for messages, without credentials."""

    async def list_files(self, repo: str, revision: str | None) -> ModelListing:
        """Return the files of a model, at that revision or at the newest.

        Raises:
            TransientOriginError: a retry may succeed.
            InstallError: a retry does not help; the text has the reason and the next step.

        """

    def read(self, repo: str, revision: str, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        """Stream a file's bytes from ``offset``; raise as ``list_files``, and ``TransientOriginError`` if it is cut."""

    async def aclose(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """The setting of where weights come from; the hub is ``HF_ENDPOINT``, its token ``HF_TOKEN``."""

    place: str | None = None
    """A folder or ``s3://bucket/prefix`` with models under their hub names (``KVASIR_WEIGHTS``); None for the hub."""
    endpoint: str = DEFAULT_HUB
    token: str | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path | None:
        """Return the folder whose models are used in place; None if models are downloaded."""
        return None if self.place is None or self.is_bucket else Path(self.place).expanduser()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the URLs of all that downloads connect to; a hub redirects them, Hugging Face to hosts of its own."""
        if self.is_bucket:
            return (  # and where a machine, a task on ECS and a pod on EKS find a role
                "https://*.amazonaws.com", "https://*.amazonaws.com.cn", "http://169.254.169.254",
                "http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::23]",
            )  # fmt: skip
        if self.place is not None:
            return ()
        return (self.endpoint, *(_HUB_HOSTS if self.endpoint == DEFAULT_HUB else ("https://*",)))

    @property
    def is_bucket(self) -> bool:
        """Return whether it is an S3 bucket."""
        return self.place is not None and self.place.startswith("s3://")
