"""Tokens and addresses of the Slack side."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

SLACK_API_URL = "https://slack.com/api/"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """How people install the app in many workspaces."""

    client_id: str
    client_secret: str = field(repr=False)
    token_keys: tuple[str, ...] = field(repr=False)
    """The keys of the stored tokens: the first one encrypts, all of them decrypt."""
    public_url: str
    """The address of Kvasir's own pages, without a slash at its end."""
    workspaces: tuple[str, ...] = ()
    """The workspaces and organizations that may install the app, the home of the documents first; without any, none."""

    @property
    def install_url(self) -> str:
        """Return where people install the app."""
        return self.public_url + INSTALL_PATH

    @property
    def redirect_url(self) -> str:
        """Return where Slack sends people back."""
        return self.public_url + REDIRECT_PATH


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """Tokens and addresses; Socket Mode with an app token, else signed HTTP on ``port``."""

    bot_token: str = field(repr=False)
    """The token of the one workspace, "" if ``oauth`` says how people install the app."""
    app_token: str | None = field(default=None, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    api_url: str | None = None
    """The Web API's base URL, ending in ``/api/``; None is Slack's own."""
    port: int = 3000
    oauth: OAuthSettings | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the URLs of all that Kvasir connects to: the Web API, and Slack's hosts of websockets and files."""
        url = self.api_url or SLACK_API_URL
        return (url, f"https://*.{urlsplit(url).hostname}") if url.startswith("https://") else (url,)

    @property
    def cache_key(self) -> str:
        """Return a secret that all processes have."""
        return self.oauth.client_secret if self.oauth is not None else self.bot_token
