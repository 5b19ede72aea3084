"""The identity map of a library: e-mail addresses, the file of people, and the sources' own groups."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from knowledge.identity.email_addresses import EmailIdentitySource
from knowledge.identity.identity_map import IdentityMap
from knowledge.identity.people_file import FileIdentitySource
from knowledge.interfaces import Source
from knowledge.interfaces.people import IdentifyingSource
from knowledge.sources.narrowing import find_listing_source


def make_identity_map(file: Path | None, sources: Iterable[Source]) -> IdentityMap:
    """Return the identity map: the sources see the accounts that the file names."""
    listing = (find_listing_source(source) for source in sources)
    own = [source.identities for source in listing if isinstance(source, IdentifyingSource)]
    return IdentityMap(
        [
            EmailIdentitySource(),
            *([] if file is None else [FileIdentitySource(file)]),
            *(one for one in own if one is not None),
        ]
    )
