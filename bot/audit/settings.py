"""Where the audit is written, and what happens where it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot.answering.masking import DEFAULT_MASKING, Masking

OnErase = Literal["keep", "pseudonymise"]
"""What happens to the key of a person who is erased."""
SYSLOG = "syslog"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where the audit is written, and what happens where it cannot be."""

    folder: Path
    key_file: Path
    enabled: bool = True
    strict: bool = False
    """Whether a question gets no answer unless its record is on the disk."""
    on_erase: OnErase = "pseudonymise"
    heads: str = ""
    """A folder that gets the signed heads, or ``SYSLOG``; "" for the folder of the audit."""
    keep_days: int = 0
    """Whole files that are older are deleted; 0 for never."""
    masking: Masking = DEFAULT_MASKING
    syslog_socket: str = "/dev/log"

    @property
    def heads_folder(self) -> Path:
        """Return the folder that gets the signed heads."""
        return Path(self.heads) if self.heads not in {"", SYSLOG} else self.folder
