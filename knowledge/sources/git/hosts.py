"""Addresses of repositories, and the web pages of their files. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

_SCHEMES = ("https", "http", "ssh", "file")
_SCP_LIKE = re.compile(r"(?P<login>[\w.-]+@)?(?P<host>[\w-][\w.-]*):(?P<path>[^:]*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BRANCH = re.compile(r"(?!-)(?!.*(\.\.|//|@\{|/\.|/$|\.lock$|\.$))[^\x00-\x20\x7f~^:?*\[\\]+")

_FILE_URLS = {
    "github": "{origin}/{repository}/blob/{branch}/{path}",
    "gitlab": "{origin}/{repository}/-/blob/{branch}/{path}",
    "gitea": "{origin}/{repository}/src/branch/{branch}/{path}",
    "forgejo": "{origin}/{repository}/src/branch/{branch}/{path}",
    "bitbucket": "{origin}/{repository}/src/{branch}/{path}",
    "bitbucket-server": "{origin}/projects/{project}/repos/{name}/browse/{path}?at={ref}",
}
HOSTS = tuple(_FILE_URLS)
_PUBLIC_HOSTS = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "bitbucket.org": "bitbucket",
    "codeberg.org": "forgejo",
    "gitea.com": "gitea",
}
_TOKEN_USERS = {"gitlab": "oauth2", "bitbucket": "x-token-auth"}


@dataclass(frozen=True, slots=True)
class Remote:
    """The checked address of a repository; it holds no secret."""

    url: str
    scheme: str
    """The only protocol that git may use."""
    web_origin: str = ""
    """``https://host:port`` of the host's web pages, "" for a repository on this machine."""
    path: str = ""
    """``owner/name``, without ``.git``."""
    host: str | None = None
    """One of ``HOSTS``; None if it is unknown."""

    @property
    def token_user(self) -> str:
        """Return the user name that this host expects with a token."""
        return _TOKEN_USERS.get(self.host or "", "x-access-token")

    def file_url(self, branch: str, path: str) -> str | None:
        """Return the address of a file's web page; None if the kind of host is unknown."""
        form = _FILE_URLS.get(self.host or "")
        if form is None or not self.web_origin:
            return None
        project, _, name = self.path.removeprefix("scm/").rpartition("/")
        return form.format(
            origin=self.web_origin,
            repository=quote(self.path),
            branch=quote(branch),
            path=quote(path),
            project=quote(project.upper()),
            name=quote(name),
            ref=quote(f"refs/heads/{branch}", safe=""),
        )


def parse_remote(address: str, base: str, host: str | None = None) -> Remote:
    """Parse an ``https``, ``http``, ``ssh`` or ``file`` URL, ``git@host:path``, or a path relative to ``base``.

    Raises:
        ValueError: it is none of these, or holds a password; the text says which.

    """
    if not address.strip() or address.startswith("-") or _CONTROL.search(address):
        raise ValueError("it is not an address")
    if "://" in address:
        return _parse_url(address, host)
    scp = _SCP_LIKE.fullmatch(address)
    if scp and not address.startswith(("/", ".", "~")):
        return _make_remote(address, "ssh", "https", scp["host"], scp["path"], host)
    return Remote(os.path.abspath(Path(base) / Path(address).expanduser()), "file", host=host)  # noqa: PTH100 - symbolic links stay as they are


def _parse_url(address: str, host: str | None) -> Remote:
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"Kvasir does not use git over {parts.scheme}://; use https, ssh or a path")
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise ValueError("it holds a user or a password; put the token into the variable that token_env names")
    if parts.query or parts.fragment:
        raise ValueError("it has a ? or a #")
    if parts.scheme == "file":
        return Remote(address, "file", host=host)
    if not parts.hostname or parts.hostname.startswith("-"):
        raise ValueError("it has no host")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port and parts.scheme != "ssh" else ""
    web = "http" if parts.scheme == "http" else "https"
    return _make_remote(address, parts.scheme, web, name + port, parts.path, host)


def _make_remote(address: str, scheme: str, web: str, where: str, path: str, host: str | None) -> Remote:
    repository = path.strip("/").removesuffix(".git").strip("/")
    if not repository:
        raise ValueError("it names no repository")
    return Remote(address, scheme, f"{web}://{where}", repository, host or _guess_host(where))


def _guess_host(where: str) -> str | None:
    """Return the kind of a host: a public one, or one named by its first label (``gitlab.example.com``)."""
    name = where.partition(":")[0].lower()
    return _PUBLIC_HOSTS.get(name) or next((kind for kind in _FILE_URLS if name.split(".")[0] == kind), None)


def is_branch_name(name: str) -> bool:
    """Return whether git accepts the name for a branch or a tag."""
    return bool(_BRANCH.fullmatch(name))
