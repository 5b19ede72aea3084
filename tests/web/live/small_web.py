"""A small web on loopback over real sockets: named hosts, pages, and a search engine that finds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from knowledge.interfaces import Embedder, Matrix, Priority
from knowledge.web.http.settings import FetchLimits, WebSettings
from knowledge.web.live.live_web import GRACE_S, LiveWeb
from knowledge.web.live_settings import LiveSettings, SearchSettings
from knowledge.web.opening import open_live, open_pages
from knowledge.web.searching.web_search import WebSearch
from tests.search.search_bench import WordEmbedder
from tests.web.searching.fake_providers import FakeSearxng, Page
from tests.web.site import Site

NAMES = tuple(f"{letter}.example" for letter in "abcdefghijkl")
FILLER = "The keeper of the bench writes down in the evening what was done and what was left for another day. "


class SmallWebEmbedder(WordEmbedder):
    """Vectors out of words, for pages too."""

    def __init__(self) -> None:
        super().__init__()
        self.passages: list[str] = []

    async def embed_passages(self, texts: Sequence[str], **options: object) -> Matrix:
        if options.get("priority") is Priority.ANSWER:
            self.passages += texts
        return await super().embed_passages(texts, **options)


def article(text: str, *, title: str = "Notes") -> str:
    """Return a page that says something, among other things."""
    return f"""<!doctype html><html lang="en"><head><title>{title}</title></head><body><nav><a href="/">Home</a></nav>
<div><h1>{title}</h1><p>{text}</p><p>{FILLER * 6}</p></div><footer>Imprint</footer></body></html>"""


class SmallWeb:
    """Pages at ``http://NAME:port/PATH``, with every name at loopback. Every search finds all pages."""

    def __init__(self) -> None:
        self.site = Site()
        self.engine = FakeSearxng()

    async def start(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.site.served())
        await self.engine.start(stack)

    def url(self, name: str, path: str) -> str:
        return f"http://{name}:{self.site.port}{path}"

    def put(self, name: str, path: str, text: str, *, found: bool = True) -> str:
        """Put a page there and return its URL."""
        self.site.html(path, article(text))
        return self.find(name, path) if found else self.url(name, path)

    def find(self, name: str, path: str) -> str:
        """Make searches find an address, whatever is there."""
        self.engine.pages.append(Page(url := self.url(name, path), "Notes", "A snippet."))
        return url

    async def opened(
        self, stack: AsyncExitStack, embedder: Embedder | None = None, grace_s: float = GRACE_S, **settings: Any
    ) -> LiveWeb:
        """Open the live web as the product does, with these names as the operator's own."""
        search = SearchSettings(("searxng",), f"http://127.0.0.1:{self.engine.port}")
        private = tuple(f"{name}:{self.site.port}" for name in NAMES)
        chosen: dict[str, Any] = {"private_hosts": private, "search": search} | settings
        live = LiveSettings(**chosen)
        web = WebSettings(limits=FetchLimits(total_s=20, idle_s=15))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        return await stack.enter_async_context(
            open_live(live, web, embedder or SmallWebEmbedder(), folder, resolve=_at_loopback, grace_s=grace_s)
        )

    async def opened_with(self, stack: AsyncExitStack, search: WebSearch) -> LiveWeb:
        """Open the live web with another search."""
        live = LiveSettings(private_hosts=tuple(f"{name}:{self.site.port}" for name in NAMES))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        pages = await stack.enter_async_context(open_pages(live, WebSettings(), folder, resolve=_at_loopback))
        stack.push_async_callback(search.close)
        return LiveWeb(live.allowed_domains, pages=pages, search=search, embedder=SmallWebEmbedder())


async def _at_loopback(_host: str) -> Sequence[str]:
    return ["127.0.0.1"]
