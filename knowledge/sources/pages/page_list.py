"""The list of web pages that owners have added. Its methods block."""

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

from knowledge.database.content import ContentRows, ContentStore, SharedContent, SourceContent
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


class PageList(ContentStore):
    """The list in a folder of this host, or in a database that several hosts share. Several processes may use it."""

    def __init__(
        self, folder: Path, now: Callable[[], float] = time.time, content: SourceContent | None = None
    ) -> None:
        super().__init__(content)
        self._place = _PageFolder(folder) if content is None else _PageTable(content, folder)
        self._now = now

    def add_page(self, url: str, by: str) -> AddedPage | None:
        """Add a page; return None if it is already on the list.

        Raises:
            SourceError: the URL is not a web address, or the disk or the database refuses the page.

        """
        page = AddedPage(normalize_page_url(url), round(self._now(), 3), by)
        return page if self._place.add_page(page) else None

    def remove_page(self, url: str) -> bool:
        """Remove a page; return False if it is not on the list.

        Raises:
            SourceError: the list cannot be written.

        """
        return self._place.remove_page(normalize_page_url(url))

    def forget_person(self, by: str) -> int:
        """Remove the name of a person from the pages that the person added; return their number.

        Raises:
            SourceError: the list cannot be read or written.

        """
        pages = [page for page in self.list_pages() if page.added_by == by]
        for page in pages:
            self._place.replace_page(replace(page, added_by=""))
        return len(pages)

    def list_pages(self) -> list[AddedPage]:
        """Return the pages, oldest first.

        Raises:
            SourceError: the list cannot be read.

        """
        return sorted(self._place.list_pages(), key=lambda page: (page.added_at, page.url))


class _PageTable:
    """The pages in a shared database, each under its address. Those of the folder are moved there."""

    def __init__(self, content: SourceContent, folder: Path) -> None:
        self._content = content
        self._folder = folder

    def add_page(self, page: AddedPage) -> bool:
        self._import_folder()
        return self._content.change(lambda rows: _add_row(rows, page))

    def remove_page(self, url: str) -> bool:
        self._import_folder()
        return bool(self._content.change(lambda rows: rows.delete_entries([_make_name(url)])))

    def replace_page(self, page: AddedPage) -> None:
        self._content.change(lambda rows: rows.put_entry(_make_name(page.url), json.dumps(asdict(page))))

    def list_pages(self) -> list[AddedPage]:
        self._import_folder()
        texts = self._content.read(lambda rows: rows.list_texts())
        return [AddedPage(**json.loads(text)) for text in texts.values()]

    def _import_folder(self) -> None:
        def load(path: Path) -> Callable[[ContentRows], object]:
            page = _PageFolder(self._folder).read_page(path)
            return lambda rows: _add_row(rows, page)

        self._content.import_files(self._folder, "[!.]*.json", load)


def _add_row(rows: ContentRows, page: AddedPage) -> bool:
    name = _make_name(page.url)
    is_new = rows.find_text(name) is None
    if is_new:
        rows.put_entry(name, json.dumps(asdict(page)))
    return is_new


class _PageFolder:
    """The pages in a folder. Each is a file that is written or removed as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add_page(self, page: AddedPage) -> bool:
        with self._translate_errors():
            draft = self._write_draft(page)
            try:
                os.link(draft, self._make_path(page.url))  # fails if the page is on the list
            except FileExistsError:
                return False
            finally:
                draft.unlink()
        return True

    def remove_page(self, url: str) -> bool:
        with self._translate_errors():
            try:
                self._make_path(url).unlink()
            except FileNotFoundError:
                return False
        return True

    def replace_page(self, page: AddedPage) -> None:
        with self._translate_errors():
            self._write_draft(page).replace(self._make_path(page.url))

    def list_pages(self) -> list[AddedPage]:
        pages: list[AddedPage] = []
        for path in self._folder.glob("[!.]*.json"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                pages.append(self.read_page(path))
        return pages

    def read_page(self, path: Path) -> AddedPage:
        try:
            return AddedPage(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise SourceError(
                f"The added pages in {self._folder} cannot be read ({type(error).__name__}). Restore the "
                "folder from a backup; until then Kvasir deletes nothing of it."
            ) from error

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
        return self._folder / f"{_make_name(url)}.json"

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"The folder {self._folder} cannot be written: {error.strerror}. Check its disk and rights, "
                "then try again."
            ) from error


def _make_name(url: str) -> str:
    """Return the name of a page on the list; both schemes have the same one."""
    return hashlib.sha256(url.partition("://")[2].encode()).hexdigest()[:40]


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


def open_page_list(spec: SourceSpec, home: Path, content: SharedContent | None = None) -> PageList:
    """Return the page list of a configured source of kind ``pages``; ``content`` is what several hosts share."""
    source = None if content is None else content.open_source("pages", spec.name)
    return PageList(home / "sources" / source_folder_name(spec.name) / "pages", content=source)
