"""The site whose pages are read."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.web.site import Site


@pytest.fixture
async def site(stack: AsyncExitStack) -> Site:
    return await stack.enter_async_context(Site().served())
