"""The pages that people see who install the app. Pure."""

from __future__ import annotations

import html
from typing import Final

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The address of the last page has a code of Slack, so no other site may learn it."""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 34rem; padding: 0 1.5rem; color: #1d1c1d;
  background: #fff; }
h1 { font-size: 1.5rem; } a { color: #1264a3; } code { background: #f4f4f4; padding: .1em .3em; border-radius: 3px; }
@media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #1a1d21; } a { color: #79b8ff; }
  code { background: #2c2f33; } }
"""
_PROBLEMS = {
    "access_denied": (
        "Kvasir is not installed",
        "You or Slack cancelled the installation. Your workspace may ask its administrators first.",
    ),
    "invalid_browser": (
        "This installation began in another browser",
        "Begin and end the installation in one browser, with cookies allowed.",
    ),
    "invalid_state": ("This installation took too long", "It was open for more than ten minutes, or it has ended."),
    "missing_code": ("Slack sent no code", "Begin the installation again."),
    "invalid_code": (
        "Slack did not accept the installation",
        "Begin it again. If that fails too, the operator of Kvasir finds the reason in the log.",
    ),
    "unreachable": ("Slack cannot be reached", "Kvasir has no connection to Slack at this moment. Try it again."),
    "storage_error": ("Kvasir could not store the installation", "Its database failed. Try it again in a minute."),
}
_UNKNOWN = ("Kvasir is not installed", "Slack reported a problem. Begin the installation again.")


def render_success(workspace: str, app_id: str, team: str) -> str:
    """Return the page after an installation."""
    link = f"slack://app?team={team}&id={app_id}"
    return _render_page(
        "Kvasir is installed",
        f"<p>Kvasir answers in <b>{html.escape(workspace)}</b> now. Invite it to a channel with "
        f"<code>/invite @Kvasir</code>, or write to it directly.</p>"
        f'<p><a href="{html.escape(link)}">Open Slack</a></p>',
    )


def render_problem(reason: str, install_url: str) -> str:
    """Return the page after a problem, whose reason is a code of Slack or of Bolt."""
    title, text = _PROBLEMS.get(reason, _UNKNOWN)
    return _render_page(
        title,
        f'<p>{html.escape(text)}</p><p><a href="{html.escape(install_url)}">Begin again</a></p>'
        f"<p>Code: <code>{html.escape(reason[:64])}</code></p>",
    )


def render_refusal(workspace: str, team: str) -> str:
    """Return the page for a workspace that may not install the app."""
    return _render_page(
        "This workspace may not install Kvasir",
        f"<p>The operator of this Kvasir has not allowed <b>{html.escape(workspace)}</b>. Kvasir stores "
        f"nothing of it, and has revoked its token.</p><p>For the operator: add <code>{html.escape(team)}</code> to "
        f"<code>workspaces</code> under <code>[slack]</code> in <code>kvasir.toml</code>, and start Kvasir again. The "
        f"first workspace of that list is the home of the documents.</p>",
    )


def _render_page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
