"""The list of web pages that owners have added, one file for each. Its methods block."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from knowledge.errors import SourceError
from knowledge.settings import SourceSpec
from knowledge.sources.registry import source_folder_name
from knowledge.web.crawling.canonical_urls import Site

_LOGIN = re.compile(r"//[^/]*@")


@dataclass(frozen=True, slots=True)
class AddedPage:
    """A page on the list, who added it and when."""

    url: str
    added_at: float
    """When it was added, in seconds since the epoch."""
    added_by: str

    @property
    def document(self) -> str:
        """Return the page's id as a document: its address without the scheme."""
        return normalize_page_url(self.url).partition("://")[2]


class PageList:
    """The list in a folder. Several processes may use it: each page is a file that is written or removed as a whole."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now

    def add_page(self, url: str, by: str) -> AddedPage | None:
        """Add a page; return None if it is already on the list.

        Raises:
            SourceError: the URL is not a web address, or the disk refuses the file.

        """
        page = AddedPage(normalize_page_url(url), round(self._now(), 3), by)
        path = self._make_path(page.url)
        with self._translate_errors():
            draft = self._write_draft(page)
            try:
                os.link(draft, path)  # fails if the page is on the list
            except FileExistsError:
                return None
            finally:
                draft.unlink()
        return page

    def remove_page(self, url: str) -> bool:
        """Remove a page; return False if it is not on the list.

        Raises:
            SourceError: the folder cannot be written.

        """
        with self._translate_errors():
            try:
                self._make_path(normalize_page_url(url)).unlink()
            except FileNotFoundError:
                return False
        return True

    def forget_person(self, by: str) -> int:
        """Remove the name of a person from the pages that the person added; return their number.

        Raises:
            SourceError: the folder cannot be read or written.

        """
        pages = [page for page in self.list_pages() if page.added_by == by]
        with self._translate_errors():
            for page in pages:
                self._write_draft(replace(page, added_by="")).replace(self._make_path(page.url))
        return len(pages)

    def list_pages(self) -> list[AddedPage]:
        """Return the pages, oldest first.

        Raises:
            SourceError: the folder or one of its files cannot be read.

        """
        try:
            found = [AddedPage(**json.loads(path.read_bytes())) for path in self._folder.glob("[!.]*.json")]
        except (OSError, ValueError, TypeError) as error:
            raise SourceError(
                f"The added pages in {self._folder} cannot be read ({type(error).__name__}). Restore the "
                "folder from a backup; until then Kvasir deletes nothing of it."
            ) from error
        return sorted(found, key=lambda page: (page.added_at, page.url))

    def _write_draft(self, page: AddedPage) -> Path:
        """Write a page to the disk under another name; two clicks at once write two drafts."""
        path = self._make_path(page.url)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(page), file)
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _make_path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.partition('://')[2].encode()).hexdigest()[:40]}.json"

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"The folder {self._folder} cannot be written: {error.strerror}. Check its disk and rights, "
                "then try again."
            ) from error


def normalize_page_url(url: str) -> str:
    """Return a page's address in its normal form.

    Raises:
        SourceError: the URL is not a web address.

    """
    try:
        address = Site.from_url(url).normalize_link(url, "")
    except ValueError:
        address = None
    if address is None:
        display_url = _LOGIN.sub("//", url)[:200]
        raise SourceError(f"{display_url} is not the address of a page. Write it as https://example.com/page.")
    return address


def open_page_list(spec: SourceSpec, home: Path) -> PageList:
    """Return the page list of a configured source of kind ``pages``."""
    return PageList(home / "sources" / source_folder_name(spec.name) / "pages")
