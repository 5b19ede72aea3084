"""Kvasir's texts in languages other than English and Chinese.

A text without a translation is shown in English. ``tests/messages`` compares the fields of each translation with those
of its English text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from knowledge.language import Language

TRANSLATIONS: Final[Mapping[Language, Mapping[str, str]]] = {}
"""By language, the translation of each English text: ``{"de": {"Cancel": "Abbrechen"}}``."""
