"""Whether the app is installed in a workspace, and the tokens that OAuth has given out. A restart forgets them.

Slack's documentation says that a token lasts 12 hours and that a refresh token counts once. Whether the token before
goes on was not seen on a real workspace; that it ends is stricter for an app.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.sandbox.state.refusals import RefusedCall

LIFETIME_S = 43_200.0


@dataclass(slots=True)
class IssuedTokens:
    """Gives out tokens, and says what is wrong with one."""

    now: Callable[[], float]
    lifetime_s: float = LIFETIME_S
    """The tokens of an app without token rotation have the lifetime 0 and do not expire."""
    is_preinstalled: bool = True
    """Whether the app has a token from the start."""
    is_installed: bool = True
    _expiries: dict[str, float] = field(default_factory=dict)
    _revoked_tokens: set[str] = field(default_factory=set)
    _refresh_tokens: set[str] = field(default_factory=set)

    def issue_tokens(self) -> dict[str, object]:
        """Return new tokens in the form of ``oauth.v2.access``; the app is installed from now on."""
        self.is_installed = True
        if not self.lifetime_s:
            token = f"xoxb-{secrets.token_hex(20)}"
            self._expiries[token] = float("inf")
            return {"access_token": token}
        token, refresh = f"xoxe.xoxb-1-{secrets.token_hex(20)}", f"xoxe-1-{secrets.token_hex(20)}"
        self._expiries[token] = self.now() + self.lifetime_s
        self._refresh_tokens.add(refresh)
        return {"access_token": token, "refresh_token": refresh, "expires_in": int(self.lifetime_s)}

    def has_token(self, token: str) -> bool:
        """Return whether a token belongs to this workspace, even if it is expired or revoked."""
        return token in self._expiries

    def check_token(self, token: str) -> None:
        """Check a token of this workspace.

        Raises:
            RefusedCall: ``token_revoked``, ``token_expired``.

        """
        if token in self._revoked_tokens:
            raise RefusedCall("token_revoked")
        if self.now() >= self._expiries[token]:
            raise RefusedCall("token_expired")

    def use_refresh_token(self, token: str) -> bool:
        """Return whether a refresh token is valid; from then on neither it nor the tokens before are."""
        if token not in self._refresh_tokens:
            return False
        self._refresh_tokens.remove(token)
        self._revoked_tokens.update(self._expiries)
        return True

    def revoke_token(self, token: str) -> None:
        """Revoke one token, which ends the installation if no other is valid."""
        self._revoked_tokens.add(token)
        self.is_installed = self.is_preinstalled or not self._revoked_tokens.issuperset(self._expiries)

    def expire_all(self) -> None:
        """Let every token expire now; refresh tokens go on."""
        self._expiries = dict.fromkeys(self._expiries, 0.0)

    def revoke_all(self) -> None:
        """Revoke every token, as an uninstallation does."""
        self._revoked_tokens.update(self._expiries)
        self._refresh_tokens.clear()
        self.is_installed = self.is_preinstalled = False
