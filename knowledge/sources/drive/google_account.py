"""A Google service account: signs a request for a token and fetches the token with the sources' own HTTP client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from google.auth import crypt, jwt
from yarl import URL

from knowledge.errors import SourceDenied, SourceError
from knowledge.interfaces import SourceContext
from knowledge.sources.hosted.http_api import CallRefused, FixedHeaders, HostedService, HttpApi
from knowledge.sources.hosted.http_call import ApiCall, parse_secure_url
from knowledge.sources.hosted.json_form import get_int, get_text, require_text

SCOPE = "https://www.googleapis.com/auth/drive.readonly"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_VALID_S = 3600
_EARLY_S = 120
"""A token is renewed this many seconds before it expires."""


class ServiceAccount:
    """``Authorization`` by a service account's key; ``subject`` is the person in whose name it reads, if any.

    Raises:
        ValueError: ``credentials`` is not the key of a service account.

    """

    def __init__(self, credentials: str, context: SourceContext, subject: str | None, scope: str = SCOPE) -> None:
        info = json.loads(credentials)
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise ValueError("not the JSON of a service account's key")
        try:
            self._email = require_text(info, "client_email")
            self._url = parse_secure_url(get_text(info, "token_uri") or TOKEN_URL)
            self._signer = crypt.RSASigner.from_service_account_info(info)  # type: ignore[no-untyped-call]
        except (SourceError, TypeError, KeyError) as error:
            raise ValueError("not the JSON of a service account's key") from error
        self._context = context
        self._subject = subject
        self._scope = scope
        self._api = HttpApi(HostedService("Google", self._url.parent, "key"), context, FixedHeaders({}))
        self._token, self._expires_at = "", 0.0
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """Return the header with a token that stays valid for a while."""
        async with self._lock:
            if not self._token or self._context.now() > self._expires_at - _EARLY_S:
                await self._fetch_token()
            return {"Authorization": f"Bearer {self._token}"}

    async def renew(self) -> bool:
        """Drop the token; the next call fetches another."""
        self._token = ""
        return True

    async def close(self) -> None:
        """Close the connection to the token endpoint."""
        await self._api.close()

    async def _fetch_token(self) -> None:
        call = ApiCall.post_form(URL(self._url).name, grant_type=_GRANT, assertion=self._sign_assertion())
        try:
            answer = await self._api.fetch_json(call)
        except CallRefused as error:
            raise SourceDenied(
                f"Google gives no token to the service account of {self._context.name} (HTTP {error.status}). "
                "Check that its key still exists, that this machine's clock is right and, with a subject, "
                f"that delegation is granted for {self._scope.rpartition('/')[2]}; nothing was deleted."
            ) from None
        self._token = require_text(answer, "access_token")
        self._expires_at = self._context.now() + (get_int(answer, "expires_in") or _VALID_S)

    def _sign_assertion(self) -> str:
        now = int(self._context.now())
        claims = {"iss": self._email, "scope": self._scope, "aud": str(self._url), "iat": now, "exp": now + _VALID_S}
        if self._subject:
            claims["sub"] = self._subject
        token: bytes = jwt.encode(self._signer, claims)  # type: ignore[no-untyped-call]
        return token.decode()
