"""Runs the ``git`` program with deadlines, without prompts, hooks or a user's settings, and explains its failures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.errors import SourceDenied, SourceError, SourceUnavailable
from knowledge.sources.git.hosts import Remote

LOCAL_S = 600.0
"""The deadline of a command that reaches no remote."""
LIST_REFS_S = 60.0
FETCH_S = 3600.0
"""The deadline of a transfer; git ends one that stalls for a minute."""

_INHERITED_VARIABLES = (
    "PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE",
    "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
)  # fmt: skip
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oServerAliveCountMax=4"
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "core.askPass": "",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "log.showSignature": "false",
    "fetch.recurseSubmodules": "false",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "protocol.version": "2",
}
_CREDENTIAL_HELPER = (
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$KVASIR_GIT_USER" "$KVASIR_GIT_PASSWORD"; }; f'
)
_PROTOCOLS = {"http": "http:https"}
"""The protocols that git may use for a scheme; http may redirect to https, never the other way."""
_TAIL_BYTES = 8_000
_ADDRESS = re.compile(r"//[^\s'\"]*")


class GitDamaged(SourceUnavailable):
    """The copy on this machine is unusable; a new one will work."""


@dataclass(frozen=True, slots=True)
class Git:
    """Runs ``git`` on one repository folder for one remote. Secrets travel in the environment, never in arguments."""

    folder: str
    remote: Remote
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    ssh_key: str | None = None

    async def run(
        self, *arguments: str, deadline_s: float = LOCAL_S, stdin: bytes = b"", remote: bool = False
    ) -> bytes:
        """Return the output of a command; ``remote`` allows it to reach the remote and nothing else.

        Raises:
            SourceUnavailable, SourceDenied: it failed, or took too long.

        """
        try:
            async with asyncio.timeout(deadline_s), self.open_process(*arguments, remote=remote) as process:
                output, stderr = await process.communicate(stdin)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"git did not end within {deadline_s:.0f} s ({arguments[0]}, {self.remote.url}). Check that "
                "the remote answers; the next sync tries again."
            ) from error
        if process.returncode != 0:
            failed = explain_failure(stderr[-_TAIL_BYTES:].decode(errors="replace"), self.remote.url, self.token)
            raise failed if remote else GitDamaged(str(failed))
        return output

    @contextlib.asynccontextmanager
    async def open_process(self, *arguments: str, remote: bool = False) -> AsyncIterator[Process]:
        """Start a command; at the end of the block, kill it and everything that it started."""
        process = await self.start_process(*arguments, remote=remote, stderr=PIPE)
        try:
            yield process
        finally:
            await kill_process(process)

    async def start_process(self, *arguments: str, remote: bool = False, stderr: int = DEVNULL) -> Process:
        """Start a command; the caller ends it with ``kill_process``.

        Raises:
            SourceUnavailable: git is not installed.

        """
        try:
            return await asyncio.create_subprocess_exec(
                "git", *self._list_settings(remote=remote), *arguments,
                stdin=PIPE, stdout=PIPE, stderr=stderr,
                env=self._build_environment(remote=remote), start_new_session=True, limit=1 << 20,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise SourceUnavailable(
                "The program git is not installed. Install it (Debian: apt-get install git) and sync again."
            ) from error

    def _list_settings(self, *, remote: bool) -> Sequence[str]:
        settings = dict(_SETTINGS)
        if remote:
            settings |= {
                "remote.origin.url": self.remote.url,
                # Set for this command only: a command that reaches no remote must not fetch missing objects.
                "remote.origin.promisor": "true",
                "remote.origin.partialCloneFilter": "blob:none",
            }
            if self.token is not None:  # for this host only: a redirect to another host gets nothing
                settings[f"credential.{self.remote.web_origin}.helper"] = _CREDENTIAL_HELPER
        return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

    def _build_environment(self, *, remote: bool) -> Mapping[str, str]:
        environment = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
        environment |= {
            "GIT_DIR": self.folder,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS.get(self.remote.scheme, self.remote.scheme) if remote else "none",
            "GIT_SSH_COMMAND": f"{_SSH} -oIdentitiesOnly=yes -i {shlex.quote(self.ssh_key)}" if self.ssh_key else _SSH,
            "GIT_SSH_VARIANT": "ssh",
            "SSH_ASKPASS_REQUIRE": "never",
            "LC_ALL": "C",
        }
        if remote and self.token is not None:
            user = self.user or self.remote.token_user
            environment |= {"KVASIR_GIT_USER": user, "KVASIR_GIT_PASSWORD": self.token}
        return environment


async def kill_process(process: Process) -> None:
    """Kill a running process with its whole group, as git starts helpers, and wait for it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


_FAILURES: Sequence[tuple[str, type[SourceError], str]] = (
    (
        r"Host key verification failed",
        SourceDenied,
        (
            "The host key of {url} is unknown on this machine. Check it, and add it to known_hosts of the "
            "user who runs Kvasir (ssh-keyscan prints it)."
        ),
    ),
    (
        r"dubious ownership",
        SourceDenied,
        (
            "The repository {url} belongs to another user, and git does not read it. Run Kvasir as its "
            "owner, or use a remote address."
        ),
    ),
    (
        r"certificate",
        SourceUnavailable,
        "The certificate of {url} is not trusted. Correct it, or name your own authority in SSL_CERT_FILE.",
    ),
    (
        (
            r"[Rr]epository .*not found|does not appear to be a git repository|returned error: 404|does not exist"
            r"|not a git repository|could not be found|repository not exported"
        ),
        SourceUnavailable,
        "There is no repository at {url}, or these credentials may not see it. Check the address and token_env.",
    ),
    (
        (
            r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied"
            r"|returned error: 40[13]|access denied|no mutual signature"
        ),
        SourceDenied,
        "{url} refuses access. Check the token that token_env names (or the ssh key), and its rights.",
    ),
    (
        (
            r"Could not resolve host|Name or service not known|Connection (refused|reset|timed out|closed)"
            r"|Failed to connect|timed out|unable to connect|Couldn't connect|returned error: (429|5\d\d)|early EOF"
            r"|hung up|RPC failed|Operation too slow|unexpected disconnect"
        ),
        SourceUnavailable,
        "{url} cannot be reached, or broke off. Check that it is up; the next sync tries again.",
    ),
    (
        (
            r"bad object|[Cc]orrupt|[Nn]ot a valid object|unable to (read|parse) |broken|loose object|index-pack failed"
            r"|missing (tree|commit|necessary)|did not send all necessary"
        ),
        GitDamaged,
        "The copy of {url} on this machine is damaged. Delete the source's folder in KVASIR_HOME and sync again.",
    ),
)
"""Patterns of git's English messages and what they mean; the first match counts."""


def explain_failure(stderr: str, url: str, token: str | None) -> SourceError:
    """Return the error for a failed command; it does not quote the server."""
    for sign, kind, sentence in _FAILURES:
        if re.search(sign, stderr):
            return kind(sentence.format(url=url))
    return SourceUnavailable(f"git failed at {url}{_last_complaint(stderr, token)}. The next sync tries again.")


def _last_complaint(stderr: str, token: str | None) -> str:
    """Return git's own last error, shortened; lines that a server sent ("remote: …") are left out."""
    lines = [
        line for line in stderr.splitlines() if line.startswith(("fatal: ", "error: ")) and "remote err" not in line
    ]
    if not lines or (token and token in lines[-1]):
        return ""
    # Git quotes the address of a proxy from the environment: its user and password are left out.
    complaint = _ADDRESS.sub(lambda address: f"//{address[0][2:].rpartition('@')[2]}", lines[-1].partition(": ")[2])
    return f": {complaint.strip().rstrip('.')[:160]}"
