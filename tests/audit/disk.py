"""A disk that is full for one large file, while smaller ones can still be written."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def fill_disk(file: Path) -> Iterator[None]:
    """Let no file of this process grow larger than this one during a block (``RLIMIT_FSIZE``)."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
