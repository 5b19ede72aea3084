"""Says who may see what, from docs/security.md alone. It imports no code of Kvasir.

- A direct message is seen by the person. A public channel is seen by any full member, of whom nothing else is known,
  and by the guests in it. A private channel and a group message are seen by their members.
- A channel that is shared with another company shows what is open to the world, once an owner has approved it.
- What one person alone sees (ephemeral messages, Home, dialogs) is judged by that person's rights.
- A person of another company gets no answer outside such a channel.
- A document is for those whom every rule admits: the source's readers, the space, each restricted page above it.
  Without ``readers`` a folder is for full members, and a source with rights of its own decides alone.
- A thread of a public channel is for full members and the channel's guests; of another channel, for nobody.
- A file of a direct message is for its sender, until the sender chooses. Nobody reads what is deleted.
- Where a source names its workspaces, ``*`` means their members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.soak.model import Document, Grant, Human, Place, Room, World

COMPANY_DOMAIN = "company.example"
HOME_WORKSPACE, SIBLING_WORKSPACE, ORGANIZATION = "T0SANDBOX1", "T0SANDBOX2", "E0SANDBOX1"
_NO_RIGHTS = frozenset({"folder", "notion"})
"""Kinds of sources that do not say who may read a document."""


@dataclass(frozen=True)
class AnyMember:
    """A full member of whom nothing is known but the public channel that he may join."""

    channel: str


Viewer = Human | AnyMember


class Oracle:
    """Judges by the world as it is now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tests: Mapping[str, Callable[[Human, str], bool]] = {
            "members": lambda one, _: not is_guest(one),
            "workspace": lambda one, which: not is_guest(one) and which in {ORGANIZATION, get_workspace(one)},
            "guests": lambda one, _: is_guest(one),
            "person": lambda one, which: which == one.id,
            "email": lambda one, which: which == one.email,
            "channel": lambda one, which: one.id in world.rooms[which].members,
            "slack group": lambda one, which: one.id in world.slack_groups[which],
            "name": lambda one, which: which in one.names,
            "wiki user": lambda one, which: which == one.wiki,
            "wiki group": lambda one, which: bool(one.wiki) and one.id in world.wiki_groups[which],
            "drive user": lambda one, which: which == one.email,
            "drive group": lambda one, which: one.id in world.drive_groups[which],
            "drive domain": lambda one, which: not is_guest(one) and one.email.endswith(f"@{which}"),
        }

    # ── Viewers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_viewers(self, room: Room) -> list[Viewer] | None:
        """Return who sees a message in a conversation; None if only what is open to the world may be shown."""
        people = [self._world.humans[one] for one in sorted(room.members)]
        seeing = [one for one in people if one.active]
        if room.kind == "shared" or any(one.kind == "foreign" for one in seeing):
            return None
        if room.kind == "public":
            guests = [one for one in seeing if is_guest(one)]
            return [AnyMember(room.id), *guests]
        return list(seeing)

    def may_show(self, document: Document, room: Room) -> bool:
        """Return whether a document may appear in a conversation."""
        if room.kind == "shared" and not room.approved:
            return False
        if room.kind == "im" and any(self._world.humans[one].kind == "foreign" for one in room.members):
            return False
        viewers = self.list_viewers(room)
        if viewers is None:
            return self._is_open_to_world(document)
        return bool(viewers) and all(self.may_read(document, one) for one in viewers)

    def may_show_alone(self, document: Document, person: str) -> bool:
        """Return whether a document may appear where one person alone sees it."""
        human = self._world.humans[person]
        return human.active and self.may_read(document, human)

    # ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def may_read(self, document: Document, viewer: Viewer) -> bool:
        """Return whether every rule of a document admits a viewer."""
        return all(any(self._admits(grant, viewer) for grant in rule) for rule in self.list_rules(document))

    def list_rules(self, document: Document) -> list[Sequence[Grant]]:
        """Return the rules of a document; a viewer must be admitted by each."""
        place = self._world.places[document.place]
        if not document.live:
            return [[]]
        is_named = place.readers is not None or bool(place.workspaces)
        readers = _name_workspaces(place, [("members", "")] if place.readers is None else place.readers)
        rules: list[Sequence[Grant]] = [readers] if is_named or place.kind in _NO_RIGHTS else []
        if place.kind == "slack":
            is_public = self._world.rooms[document.part].kind == "public"
            rules.append([("members", ""), ("channel", document.part)] if is_public else [])
        elif place.kind == "wiki":
            rules.append(place.parts[document.part])
            above: int | None = document.number
            while above is not None:
                page = self._world.documents[above]
                if page.own:
                    rules.append(page.own)
                above = page.parent
        elif place.kind not in _NO_RIGHTS or document.own:
            rules.append([grant for one in document.own for grant in (readers if one[0] == "readers" else [one])])
        return rules

    def _is_open_to_world(self, document: Document) -> bool:
        return all(("world", "") in rule for rule in self.list_rules(document))

    def _admits(self, grant: Grant, viewer: Viewer) -> bool:
        what, which = grant
        if what == "world":
            return True
        if isinstance(viewer, AnyMember):
            is_colleague = what == "workspace" and which in {HOME_WORKSPACE, ORGANIZATION}
            return what == "members" or is_colleague or (what == "channel" and which == viewer.channel)
        if viewer.kind == "foreign" or not viewer.active:
            return False
        return self._tests[what](viewer, which)


def _name_workspaces(place: Place, readers: Sequence[Grant]) -> list[Grant]:
    """Return readers in which the members of the named workspaces stand for all full members."""
    workspaces: list[Grant] = [("workspace", one) for one in place.workspaces]
    return [grant for one in readers for grant in (workspaces if workspaces and one[0] == "members" else [one])]


def get_workspace(human: Human) -> str:
    """Return the workspace of a full member."""
    return SIBLING_WORKSPACE if human.kind == "sibling" else HOME_WORKSPACE


def is_guest(viewer: Viewer) -> bool:
    """Return whether a viewer is a guest of the workspace."""
    return isinstance(viewer, Human) and viewer.kind in {"guest", "single_channel_guest"}
