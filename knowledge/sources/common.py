"""What several kinds of source share: audiences, size limits, link templates and errors."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import quote

from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import EVERYONE, ListedDocument

HIDDEN = (".", "~$")
"""Names of hidden files begin so, and those of temporary files of office programs."""

_Item = TypeVar("_Item")

FIELD = re.compile(r"\{([^{}]+)\}")

SUFFIXES = (
    ".md", ".markdown", ".mdx", ".txt", ".text", ".rst", ".html", ".htm", ".xhtml",
    ".pdf", ".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm", ".csv", ".tsv", ".tab",
)  # fmt: skip
"""The suffixes that a source lists unless its key ``suffixes`` names others."""

_HEARTBEAT_S = 60.0
MAX_MB = 50.0
"""The default of ``max_mb``: a source does not read a larger document."""


def widen_to_everyone(readers: frozenset[str], everyone: frozenset[str]) -> frozenset[str]:
    """Return ``EVERYONE`` if a reader of the audience means everybody, else the audience."""
    return EVERYONE if readers & (everyone | EVERYONE) else readers


def config_error(source: str, reason: str) -> SourceMisconfigured:
    """Return the error for a wrong value in a source's table."""
    return SourceMisconfigured(f"Source {source}: {reason}. Correct it in kvasir.toml.")


def parse_size_limit(name: str, max_mb: float) -> int:
    """Return a source's ``max_mb`` in bytes.

    Raises:
        SourceMisconfigured: it is not a number above 0.

    """
    if not 0 < max_mb < math.inf:
        raise config_error(name, "max_mb must be a number above 0")
    return int(max_mb * 1_000_000)


def too_large_error(document: str, size_bytes: int | None, limit: int) -> SourceError:
    """Return the error for a document over its source's limit; ``size_bytes`` may be unknown."""
    size = "" if size_bytes is None else f" {size_bytes / 1e6:.0f} MB,"
    return SourceError(
        f"{document} has{size} more than its source's limit of {limit / 1e6:g} MB. Split it, or raise max_mb."
    )


def split_batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield the items in batches of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def fill_link_template(template: str, **fields: str) -> str:
    """Return a link: the template with each ``{name}`` replaced by its percent-encoded value."""
    return FIELD.sub(lambda field: quote(fields[field[1]]) if field[1] in fields else field[0], template)


def strip_suffix(path: str) -> str:
    """Return a path without its suffix, for ``{stem}`` in a link template."""
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix else path


def is_hidden_path(path: str) -> bool:
    """Return whether a path has a hidden part, or one that an office program uses for temporary files."""
    return any(part.startswith(HIDDEN) for part in path.split("/"))


async def with_heartbeats(
    batches: AsyncGenerator[Sequence[ListedDocument], None],
) -> AsyncIterator[Sequence[ListedDocument]]:
    """Yield the batches of a listing, and an empty batch whenever none came for ``_HEARTBEAT_S``.

    A sync gives up a source that yields nothing for too long. A listing that starts slowly (the first fetch of a large
    repository) needs these empty batches; it has a deadline of its own.
    """
    step: asyncio.Task[Sequence[ListedDocument] | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(batches, None))
            while not (await asyncio.wait({step}, timeout=_HEARTBEAT_S))[0]:
                yield ()
            batch = step.result()
            if batch is None:
                return
            yield batch
    finally:
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        await batches.aclose()
