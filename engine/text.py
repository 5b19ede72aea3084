"""Make text encodable."""

from __future__ import annotations


def replace_surrogates(text: str) -> str:
    """Return ``text`` with each lone surrogate, which cannot be encoded, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
