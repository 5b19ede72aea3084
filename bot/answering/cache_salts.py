"""Separates the engine's prefix caches of people with different rights.

A prompt that is in the prefix cache is answered faster. On a shared engine, this would show others whether a text was
in a prompt. So a request has a salt that nobody can guess, and only requests with equal salts share prefixes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence

from knowledge.errors import KnowledgeError
from knowledge.interfaces import Material, Viewers


async def find_cache_salt(find_rights_key: Callable[[Viewers], Awaitable[str]], key: str, viewers: Viewers) -> str:
    """Return the salt of an answer for these viewers; one that is never used again if their rights are unknown.

    Viewers who may read the same documents have the same salt, in each process with the same key. ``find_rights_key``
    is ``Library.find_rights_key``, and ``key`` a secret.
    """
    try:
        rights = await find_rights_key(viewers)
    except KnowledgeError:
        rights = ""
    if not rights:
        return secrets.token_hex(16)
    return hmac.new(key.encode(), rights.encode(), hashlib.sha256).hexdigest()[:32]


def mix_salt(salt: str, materials: Sequence[Material]) -> str:
    """Return the salt of the engine's prefix cache for a prompt with materials, "" without any separation."""
    if not salt or not materials:
        return salt
    digest = hashlib.sha256(salt.encode())
    for material in materials:
        for chunk in material.chunks:
            digest.update(chunk.id.encode())
    return digest.hexdigest()[:32]
