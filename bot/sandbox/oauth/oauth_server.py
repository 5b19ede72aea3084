"""``/oauth/v2/authorize``, ``oauth.v2.access`` and ``auth.revoke``.

Sources: https://docs.slack.dev/authentication/installing-with-oauth, …/authentication/using-token-rotation and
…/reference/methods/oauth.v2.access.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import html
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web

from bot.sandbox.http.actions import PersonActions
from bot.sandbox.http.api import Api, CallRecord, apply_fault, read_token
from bot.sandbox.hub import Hub
from bot.sandbox.oauth.wire_ids import WireIds
from bot.sandbox.state.model import APP_ID, BOT_USER, TEAM_ID, Json
from bot.sandbox.state.refusals import RefusedCall

_CODE_LIFETIME_S = 600.0
_INSTALLER = "U0ADA00001"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workspace in which the app can be installed."""

    name: str
    url: str
    """The address below which it has its control API."""
    hub: Hub
    api: Api
    actions: PersonActions
    ids: WireIds

    @property
    def team(self) -> str:
        """Return the id of the workspace on the wire."""
        return str(self.ids.translate_ids({"id": TEAM_ID})["id"])


@dataclass(slots=True)
class _Code:
    tenant: Tenant
    redirect_uri: str
    expires_at: float
    is_used: bool = False


@dataclass(slots=True)
class OAuthServer:
    """The endpoints of OAuth, for all workspaces."""

    tenants: Sequence[Tenant]
    _codes: dict[str, _Code] = field(default_factory=dict)

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/oauth/v2/authorize", self.show_consent),
            web.get("/oauth/v2/authorize/allow", self.allow_app),
            web.post("/api/oauth.v2.access", self.give_tokens),
            web.route("*", "/api/auth.revoke", self.revoke_token),
            web.route("*", "/api/{method}", self.route_call),
        ]

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def show_consent(self, request: web.Request) -> web.Response:
        """Show where the app can be installed."""
        query = request.query
        if query.get("client_id") != self._first.hub.credentials.client_id or not query.get("redirect_uri"):
            return web.Response(status=400, text="Slack: invalid client_id or redirect_uri")
        links = [
            f'<p><a href="/oauth/v2/authorize/allow?{html.escape(urlencode({**query, "team": one.team}))}">'
            f"Allow in {html.escape(one.name)}</a></p>"
            for one in self.tenants
        ]
        cancel = _build_redirect(query, error="access_denied")
        links.append(f'<p><a href="{html.escape(cancel)}">Cancel</a></p>')
        return web.Response(text=f"<h1>Install Kvasir</h1>{''.join(links)}", content_type="text/html")

    async def allow_app(self, request: web.Request) -> web.Response:
        """Install the app in the workspace ``team``, and send the browser back with a code."""
        query = request.query
        tenant = next((one for one in self.tenants if one.team == query.get("team")), None)
        if tenant is None:
            return web.Response(status=404, text="Slack: no such workspace")
        code = secrets.token_hex(16)
        expires_at = tenant.hub.clock.now() + _CODE_LIFETIME_S
        self._codes[code] = _Code(tenant, query["redirect_uri"], expires_at)
        return web.Response(status=302, headers={"Location": _build_redirect(query, code=code)})

    # ── Calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _first(self) -> Tenant:
        return self.tenants[0]

    async def route_call(self, request: web.Request) -> web.StreamResponse:
        """Pass a call to the workspace of its token; the first one answers for unknown tokens."""
        token = read_token(request, {})
        tenant = next((one for one in self.tenants if one.hub.tokens.has_token(token)), self._first)
        return await tenant.api.handle_call(request)

    async def give_tokens(self, request: web.Request) -> web.Response:
        """Answer ``oauth.v2.access``."""
        started = time.perf_counter()
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        tenant, error = self._first, None
        try:
            if fault := tenant.hub.faults.find_fault("oauth.v2.access", set()):
                await apply_fault(fault)
            self._check_client(request, form)
            tenant = self._find_tenant(form)
            body = {"ok": True, **self._describe_installation(tenant), **tenant.hub.tokens.issue_tokens()}
        except RefusedCall as refusal:
            error = refusal.error
            body = {"ok": False, "error": error}
        arguments = {"grant_type": form.get("grant_type", "authorization_code")}
        seconds = time.perf_counter() - started
        tenant.api.calls.append(CallRecord("oauth.v2.access", arguments, tenant.hub.clock.now(), seconds, error))
        return web.json_response(body)

    def _check_client(self, request: web.Request, form: Mapping[str, str]) -> None:
        client_id, secret = _read_basic(request)
        credentials = self._first.hub.credentials
        if (client_id or form.get("client_id")) != credentials.client_id:
            raise RefusedCall("invalid_client_id")
        client_secret = secret or form.get("client_secret", "")
        if not hmac.compare_digest(client_secret.encode(), credentials.client_secret.encode()):
            raise RefusedCall("bad_client_secret")

    def _find_tenant(self, form: Mapping[str, str]) -> Tenant:
        """Return the workspace of a code or of a refresh token, each of which counts once.

        Raises:
            RefusedCall: as Slack refuses it.

        """
        grant = form.get("grant_type", "authorization_code")
        if grant == "refresh_token":
            found = [one for one in self.tenants if one.hub.tokens.use_refresh_token(form.get("refresh_token", ""))]
            if not found:
                raise RefusedCall("invalid_refresh_token")
            return found[0]
        if grant != "authorization_code":
            raise RefusedCall("invalid_grant_type")
        code = self._codes.get(form.get("code", ""))
        if code is None or code.expires_at <= code.tenant.hub.clock.now():
            raise RefusedCall("invalid_code")
        if code.is_used:
            raise RefusedCall("code_already_used")
        if code.redirect_uri != form.get("redirect_uri", code.redirect_uri):
            raise RefusedCall("bad_redirect_uri")
        code.is_used = True
        return code.tenant

    def _describe_installation(self, tenant: Tenant) -> Json:
        organization = tenant.hub.workspace.organization
        is_org_wide = organization is not None and organization.org_wide_install
        body = {
            "app_id": APP_ID,
            "authed_user": {"id": _INSTALLER},
            "scope": ",".join(sorted(tenant.hub.scopes)),
            "token_type": "bot",
            "bot_user_id": BOT_USER,
            "team": None if is_org_wide else {"id": TEAM_ID, "name": tenant.name},
            "enterprise": {"id": organization.id, "name": organization.name} if organization else None,
            "is_enterprise_install": is_org_wide,
        }
        return tenant.ids.translate_ids(body)

    async def revoke_token(self, request: web.Request) -> web.Response:
        """Answer ``auth.revoke``."""
        token = read_token(request, {})
        for tenant in self.tenants:
            if tenant.hub.tokens.has_token(token):
                tenant.hub.tokens.revoke_token(token)
                return web.json_response({"ok": True, "revoked": True})
        return web.json_response({"ok": False, "error": "invalid_auth"})


def _build_redirect(query: Mapping[str, str], **more: str) -> str:
    return f"{query['redirect_uri']}?{urlencode({'state': query.get('state', ''), **more})}"


def _read_basic(request: web.Request) -> tuple[str, str]:
    """Return the client id and secret of the header, "" for none."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        text = base64.b64decode(encoded).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    client_id, _, secret = text.partition(":")
    return client_id, secret
