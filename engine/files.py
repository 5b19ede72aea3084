"""Small files that other processes read while they are written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_private(path: Path, text: str) -> None:
    """Write a file that is its owner's alone; whoever reads sees the old or the new content, never half of one.

    Raises:
        OSError: it cannot be written; the old content stays.

    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)  # 0600 from its first byte on
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
