"""Verifies all files of an audit: each entry, the links between files, and the signed heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.audit.chain import ChainReport, Head, list_chains, parse_line, read_head, verify_chain
from bot.audit.keys import AuditKeys, load_keys
from bot.audit.settings import AuditSettings


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the verification found."""

    files: Sequence[ChainReport]
    problems: Sequence[str]
    """Sentences about what was changed, cut or deleted; none if everything is as it was written."""
    remarks: Sequence[str]

    @property
    def entries(self) -> int:
        """Return how many entries are as they were written."""
        return sum(one.entries for one in self.files)


def verify_audit(settings: AuditSettings, heads_file: Path | None = None) -> AuditReport:
    """Verify the files; ``heads_file`` has other heads, such as those that syslog kept on another machine.

    Raises:
        AuditKeyError: the keys are missing.
        OSError: a file cannot be read.

    """
    chains = list_chains(settings.folder)
    keys = load_keys(settings.key_file) if chains or settings.key_file.exists() else AuditKeys("", {})
    problems, remarks = list[str](), list[str]()
    found = [link for path in chains if (link := _read_link(path)) is not None]
    places = {settings.heads_folder: sorted(settings.heads_folder.glob("heads-*.jsonl"))}
    for place, files in (places | ({heads_file: [heads_file]} if heads_file is not None else {})).items():
        signed, wrong = _read_heads(files, keys)
        found += signed
        problems += wrong
        if not signed and not wrong and place != settings.folder:
            problems.append(f"{place} has no head, so it shows nothing. Mount the folder, or name the right one.")
    if not chains and not found and not problems:
        return AuditReport((), (), ("There is no audit yet.",))
    heads: dict[str, list[Head]] = defaultdict(list)
    for head in found:
        heads[head.file].append(head)
    reports = [verify_chain(path, keys, frozenset(one.mac for one in heads[path.name])) for path in chains]
    expired = {name for report in reports for name in report.expired}
    for report in reports:
        if report.problem:
            problems.append(f"{report.file}: {report.problem}. Intact entries before it: {report.entries}.")
            continue
        missing = [head for head in heads[report.file] if head.mac not in report.found]
        if missing:
            problems.append(_describe_cut(report, missing))
        elif report.torn:
            remarks.append(
                f"{report.file}: the process died while it wrote the last line. Intact entries before it: "
                f"{report.entries}."
            )
    oldest = min(expired, default="")[:8]  # what says that files of earlier days expired has expired, too
    gone = sorted(one for one in heads.keys() - {path.name for path in chains} - expired if one[:8] >= oldest)
    problems += [f"{name} is missing, and no entry says that it expired." for name in gone]
    return AuditReport(reports, problems, remarks)


def _read_heads(paths: Sequence[Path], keys: AuditKeys) -> tuple[list[Head], list[str]]:
    """Return the heads of files, and a sentence about each that no key signed. A line that a crash cut is ignored."""
    heads, wrong = list[Head](), list[str]()
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if (head := read_head(line, keys)) is not None:
                heads.append(head)
            elif parse_line(line[max(line.find(b"{"), 0) :]).get("event") == "head":
                wrong.append(f"{path.name}: line {number} is not a head that a key of the audit signed.")
    return heads, wrong


def _read_link(path: Path) -> Head | None:
    """Return the end of the file before, as the first line of a file names it."""
    with path.open("rb") as file:
        begin = parse_line(file.readline())
    after, mac = begin.get("after"), begin.get("after_mac")
    return Head(str(after), str(mac).encode(), at=str(begin.get("at"))) if after and mac else None


def _describe_cut(report: ChainReport, missing: Sequence[Head]) -> str:
    last = max(missing, key=lambda head: head.at)
    at_least = f" and had {last.entries}" if last.entries else ""
    return f"{report.file}: it ends after {report.entries} entries, but it was longer at {last.at}{at_least}."
