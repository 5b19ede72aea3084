"""Settings of masks, from ``[masking]`` in ``kvasir.toml`` and the lists of names that it knows."""

from __future__ import annotations

from pathlib import Path

from bot.answering.masking import MASKED_WAYS, Masking
from bot.config.models import MaskingTable, read_table
from bot.errors import SettingsError
from knowledge.identity.people_file import read_names
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser, compile_record_number


def read_masking(value: object, path: Path, identity_file: Path | None) -> Masking:
    """Return what is masked on which way out; names come from the listed file and from the file of people.

    Raises:
        SettingsError: a key is unknown or has a wrong value, or the list of names cannot be read.

    """
    table = read_table(MaskingTable, value, f"[masking] in {path}")
    names = frozenset() if identity_file is None else read_names(identity_file)
    if table.names is not None:
        names |= _read_name_list(path.parent / Path(table.names).expanduser())
    patterns = [compile_record_number(one) for one in table.record_numbers]
    return Masking(
        Recogniser(names, patterns) if names or patterns else DEFAULT_RECOGNISER,
        frozenset(way for way in MASKED_WAYS if getattr(table, way)),
        table.web,
        masks_prompts=table.prompts == "mask",
    )


def _read_name_list(file: Path) -> frozenset[str]:
    """Return the lines of a file without comments.

    Raises:
        SettingsError: it cannot be read.

    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read ({error.__class__.__name__}). Name a text file in UTF-8 under names in [masking]."
        ) from None
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip()))
