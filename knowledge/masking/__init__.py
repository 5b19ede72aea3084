"""Find and mask secrets and personal data: the one recogniser for every way out of Kvasir."""

from knowledge.masking.findings import PERSONAL, PRIVATE, Finding, Kind
from knowledge.masking.names import NameIndex
from knowledge.masking.placeholders import PlaceholderDecoder, Placeholders
from knowledge.masking.recogniser import (
    DEFAULT_RECOGNISER,
    MASK,
    Recogniser,
    find_personal_data,
    mask_secrets,
)
from knowledge.masking.record_numbers import compile_record_number

__all__ = [
    "DEFAULT_RECOGNISER",
    "MASK",
    "PERSONAL",
    "PRIVATE",
    "Finding",
    "Kind",
    "NameIndex",
    "PlaceholderDecoder",
    "Placeholders",
    "Recogniser",
    "compile_record_number",
    "find_personal_data",
    "mask_secrets",
]
