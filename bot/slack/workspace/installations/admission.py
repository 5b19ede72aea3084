"""Decides which workspaces may install the app, and which of them is the first."""

from __future__ import annotations

from bot.storage.installations.installations import Installations, StoredInstallation


class Admission:
    """The workspaces that ``kvasir.toml`` names; without any, the first that installs the app."""

    def __init__(self, installations: Installations, allowed: tuple[str, ...]) -> None:
        self._installations = installations
        self._allowed = allowed

    async def find_home(self) -> str:
        """Return the workspace or organization whose members are everybody, "" as long as there is none."""
        return self._allowed[0] if self._allowed else await self._installations.find_home()

    def covers_workspace(self, installation: StoredInstallation) -> bool:
        """Return whether Kvasir answers in an installed workspace: it may have left the list since."""
        return not self._allowed or not {installation.team, installation.enterprise}.isdisjoint(self._allowed)

    async def admits_workspace(self, team: str, enterprise: str) -> bool:
        """Return whether a workspace of an organization, "" for none, may install the app; the first one may.

        Raises:
            DatabaseError: the first workspace cannot be read or stored.

        """
        if self._allowed:
            await self._installations.claim_home(self._allowed[0])
            return not {team, enterprise}.isdisjoint(self._allowed)
        return await self._installations.claim_home(team) in {team, enterprise}
