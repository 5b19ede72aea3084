"""Pure: the files that an origin lists, which of them are needed, and their digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from engine.errors import InstallError
from engine.notes import NoteCode

CHECKSUM_FILE = "SHA256SUMS"
"""The file that ``sha256sum *`` writes; used where an origin has no hashes."""
CONFIG_FILE = "config.json"
_NEEDED = (
    CONFIG_FILE, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json",
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "quantize_config.json",
    "quant_config.json", "hf_quant_config.json", "*.safetensors.index.json", "*.safetensors",
)  # fmt: skip
"""Only data files. Programs next to the weights (``*.py``) are not downloaded and never run."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_CHECKSUM_LINE = re.compile(r"^([0-9a-fA-F]{64}) [ *](?:\./)?(\S.*)$")


@dataclass(frozen=True, slots=True)
class Digest:
    """The hash that a file must have."""

    kind: Literal["sha256", "git"]
    """``git``: SHA-1 over git's header and the bytes, as the hub names small files."""
    value: str
    """The hash in lower-case hexadecimal digits."""

    def start_hash(self, size_bytes: int) -> hashlib._Hash:
        """Return a new hash object for a file of that size."""
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file as its origin lists it."""

    name: str
    size_bytes: int
    digest: Digest | None
    """The hash; None if the origin has none."""
    version: str = ""
    """The origin's version of the bytes where there is no hash (an ETag)."""

    @property
    def part_name(self) -> str:
        """Return the name of the incomplete file; other bytes have another name."""
        identity = self.digest.value if self.digest else f"{self.version} {self.size_bytes}"
        return f"{self.name}.{hashlib.sha256(identity.encode()).hexdigest()[:12]}.part"


@dataclass(frozen=True, slots=True)
class ModelListing:
    """The files of a model at one revision."""

    revision: str
    """The commit; of a bucket a hash of its listing."""
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """Return the size of all files together."""
        return sum(file.size_bytes for file in self.files)


def select_needed(listing: ModelListing, label: str) -> ModelListing:
    """Return the listing of the files that serving needs: configuration, tokenizer, templates and safetensors.

    Raises:
        InstallError: there are no weights, only pickles, or no configuration.

    """
    require_safetensors((file.name for file in listing.files), label)
    return ModelListing(listing.revision, tuple(file for file in listing.files if is_needed(file.name)))


def is_needed(name: str) -> bool:
    """Return whether a file belongs to the model; files in subfolders never do."""
    return any(fnmatchcase(name, pattern) for pattern in _NEEDED) and "/" not in name and not name.startswith(".")


def require_safetensors(names: Iterable[str], label: str) -> None:
    """Check that there are a configuration and weights as safetensors.

    Raises:
        InstallError: as ``select_needed``.

    """
    found = [name for name in names if "/" not in name]
    if not any(name.endswith(".safetensors") for name in found):
        pickles = [name for name in found if any(fnmatchcase(name, pattern) for pattern in _PICKLES)]
        if pickles:
            raise InstallError(NoteCode.PICKLES_ONLY.fill(place=label, file=pickles[0]))
        raise InstallError(NoteCode.NO_SAFETENSORS.fill(place=label))
    if CONFIG_FILE not in found:
        raise InstallError(NoteCode.NO_CONFIG.fill(place=label, file=CONFIG_FILE))


def parse_checksums(text: str) -> Mapping[str, Digest]:
    """Return the digests of a ``SHA256SUMS``; ignore lines of another format."""
    lines = (_CHECKSUM_LINE.match(line.strip()) for line in text.splitlines())
    return {found[2]: Digest("sha256", found[1].lower()) for found in lines if found}
