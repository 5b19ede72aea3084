"""Encrypts the tokens of installations, so that a copy of the database does not open a workspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import BotError

MAKE_KEY = "openssl rand -base64 32 | tr +/ -_"
"""The command that prints a new key."""


class TokenKeyError(BotError):
    """A key is not of the right form, or none of the keys opens the tokens of a workspace."""


@dataclass(frozen=True, slots=True)
class BotTokens:
    """The tokens of an installation."""

    bot_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    """Empty if the app has no token rotation."""


class TokenCipher:
    """Encrypts tokens with the first key, and decrypts them with any of the keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys, of which there is at least one.

        Raises:
            TokenKeyError: a key is not of the right form.

        """
        try:
            fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise TokenKeyError(f"KVASIR_TOKEN_KEYS has a key of another form. Make one with: {MAKE_KEY}") from None
        self._newest, self._all = fernets[0], MultiFernet(fernets)

    def encrypt_tokens(self, team: str, tokens: BotTokens) -> str:
        """Return the encrypted tokens of a workspace."""
        return self._newest.encrypt(json.dumps({"team": team, **asdict(tokens)}).encode()).decode()

    def decrypt_tokens(self, team: str, sealed: str) -> BotTokens:
        """Return the tokens of a workspace.

        Raises:
            TokenKeyError: no key opens them, or they are those of another workspace.

        """
        try:
            opened = json.loads(self._all.decrypt(sealed.encode()))
        except InvalidToken:
            raise TokenKeyError(
                f"No key in KVASIR_TOKEN_KEYS opens the tokens of {team}. Add the key that was there before, or "
                "install the app in that workspace again."
            ) from None
        if opened.pop("team") != team:
            raise TokenKeyError(f"The tokens of {team} belong to another workspace. Install the app there again.")
        return BotTokens(**opened)

    def is_current(self, sealed: str) -> bool:
        """Return whether tokens are encrypted with the first key."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True
