"""Documents for tests of profiles, without an embedder."""

from __future__ import annotations

from knowledge.interfaces import Material
from knowledge.materials import MaterialLoader
from knowledge.search.material_passages import MaterialIndex


class PlainLibrary:
    """Reads files as the library does; a long document cannot be searched."""

    def __init__(self) -> None:
        self.materials = MaterialLoader(lambda text: len(text.split()))

    async def index_material(self, material: Material, /) -> MaterialIndex:
        """Fail: no test here has a long document."""
        raise AssertionError(f"{material.title} is long")
