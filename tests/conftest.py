"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kvasir", deadline=None)
settings.load_profile("kvasir")
