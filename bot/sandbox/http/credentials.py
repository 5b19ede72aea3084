"""The workspace's secrets: created once, stored in files that only their owner can read, never printed."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.files import replace_private_file

_OAUTH_PORT = 3080
"""Kvasir's page to install it has this port, since the workspace itself usually has 3000."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of the app and of the control API."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    verification_token: str = field(repr=False)
    control_token: str = field(repr=False)

    @property
    def client_id(self) -> str:
        """Return the app's id for OAuth."""
        return "1234567890.0987654321"

    @property
    def client_secret(self) -> str:
        """Return the app's secret for OAuth."""
        return hashlib.sha256(self.signing_secret.encode()).hexdigest()[:32]


def _create_credentials() -> Credentials:
    team, bot = secrets.randbelow(10**12), secrets.randbelow(10**12)
    return Credentials(
        bot_token=f"xoxb-{team:012}-{bot:012}-{secrets.token_hex(12)}",
        app_token=f"xapp-1-A0KVASIR01-{team:012}-{secrets.token_hex(32)}",
        signing_secret=secrets.token_hex(16),
        verification_token=secrets.token_urlsafe(18),
        control_token=secrets.token_urlsafe(32),
    )


def load_credentials(folder: Path) -> Credentials:
    """Return the credentials of a state folder; create ``credentials.json`` (mode 0600) if it is missing.

    Raises:
        OSError: the file can be neither read nor written.
        ValueError: it is damaged; delete it to get new credentials.

    """
    path = folder / "credentials.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        created = _create_credentials()
        folder.mkdir(parents=True, exist_ok=True)
        replace_private_file(path, json.dumps(asdict(created), indent=2))
        return created
    try:
        return Credentials(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; delete it and start again to get new credentials") from error


def write_settings(folder: Path, base_url: str, credentials: Credentials, *, oauth: bool) -> Path:
    """Write the settings with which Kvasir joins the workspace, or is installed by OAuth; return the file.

    Raises:
        OSError: it cannot be written.

    """
    settings = {"SLACK_API_URL": f"{base_url}/api/", "SLACK_APP_TOKEN": credentials.app_token}
    if oauth:
        key = hashlib.sha256(credentials.control_token.encode()).digest()
        settings |= {
            "SLACK_CLIENT_ID": credentials.client_id,
            "SLACK_CLIENT_SECRET": credentials.client_secret,
            "KVASIR_TOKEN_KEYS": base64.urlsafe_b64encode(key).decode(),
            "KVASIR_PUBLIC_URL": f"http://127.0.0.1:{_OAUTH_PORT}",
            "PORT": str(_OAUTH_PORT),
        }
    else:
        settings |= {"SLACK_BOT_TOKEN": credentials.bot_token}
    path = folder / "kvasir.env"
    replace_private_file(path, "".join(f"{name}={value}\n" for name, value in settings.items()))
    return path
