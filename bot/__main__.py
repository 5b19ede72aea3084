"""The ``kvasir`` command. It imports no heavy library, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

OK, FAILED, WRONG_USE, PENDING_DELETION = 0, 1, 2, 3
PRIVATE_UMASK = 0o077
"""Files that Kvasir and its libraries create are for the account that runs it."""

_PR_SET_DUMPABLE = 4
_KNOWLEDGE_COMMANDS = frozenset({"access", "add", "cache", "calibrate", "fetch", "search", "sync"})
"""The commands of ``bot.cli.commands.knowledge``; the others are in ``bot.cli.commands``."""
_AS_HELP = "as this person would get it in a direct message: a Slack id or an e-mail address"
_CONFIG_HELP = "the configuration (./kvasir.toml)"
_SUMMARY = "Answers questions in Slack from your own documents, with a DeepSeek-R1 on your own machines."


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="kvasir", description=_SUMMARY)
    top.add_argument("--config", type=Path, metavar="FILE", help=_CONFIG_HELP)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add_command(name: str, summary: str, *, configured: bool = True, json: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        _add_common_options(command, configured=configured, json=json)
        return command

    run = add_command("run", "Run the bot: in your Slack workspace, or in one on this machine without tokens.")
    run.add_argument("--docs", type=Path, metavar="DIR", help="answer from this folder instead of kvasir.toml")
    run.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    run.add_argument("--no-sandbox", action="store_true", help="never open a workspace on this machine")
    _add_question_commands(add_command)
    _add_sync_commands(add_command)
    adding = add_command("add", "Add documents to Kvasir, so that it can find them.", json=True)
    adding.add_argument(
        "files", nargs="*", metavar="FILE", help="a file, which replaces one of the same name; or a page: https://…"
    )
    adding.add_argument("--to", metavar="SOURCE", help="the source of kind push that stores the files (added)")
    adding.add_argument("--title", help="the title for citations, instead of the title in the text")
    adding.add_argument("--remove", action="append", default=[], metavar="NAME", help="remove a document or a page")
    adding.add_argument("--list", action="store_true", help="list what was added, when and by whom")
    _add_web_commands(add_command)
    _add_answer_commands(add_command)
    _add_audit_command(add_command)
    _add_profile_commands(add_command)
    status = add_command("status", "Show the engine, the store and how fresh each source is.", json=True)
    status.add_argument("--check", action="store_true", help="exit status 1 if there is a problem")
    add_command("health", "Ask the running Kvasir whether it can answer questions; exit status 1 if not.")
    doctor = add_command("doctor", "Check what Kvasir needs, and name the next step for each problem.", json=True)
    way = doctor.add_mutually_exclusive_group()
    way.add_argument("--egress", action="store_true", help="list every host and port that Kvasir may connect to")
    way.add_argument("--security", action="store_true", help="audit the security; exit status 1 if a problem is found")
    _add_database_commands(add_command)
    _add_key_commands(add_command)
    fit = add_command("fit", "Show which R1 runs on this machine or another one, and how.", configured=False, json=True)
    fit.add_argument("variant", nargs="?", help="show one variant in full, with its command; auto: the best that fits")
    fit.add_argument("--machine", metavar="M", help="another machine: 8xA100-80GB, 4x48GB, 2x8x80GB (two nodes)")
    fit.add_argument("--context", type=_positive_number, metavar="N", help="tokens of prompt and answer of a person")
    fit.add_argument("--people", type=_positive_number, default=4, metavar="N", help="people answered at once (4)")
    fit.add_argument(
        "--for", dest="goal", choices=("quality", "speed"), default="quality", help="what to optimise (quality)"
    )
    fit.add_argument("--precision", choices=("bf16", "fp8", "int8", "w4afp8", "nvfp4", "int4"), help="of the weights")
    fit.add_argument("--markdown", action="store_true", help="print the table as Markdown, with the command of auto")
    fit.add_argument("--offload", action="store_true", help="allow weights in main memory, which is slow")
    engine = add_command("engine", "Start, stop, restart or inspect the engine of this state directory.", json=True)
    engine.add_argument("action", choices=("start", "stop", "restart", "status", "logs"))
    engine.add_argument("--fresh", action="store_true", help="go back to the full memory profile")
    engine.add_argument("-f", "--follow", action="store_true", help="logs: print new lines as they are written")
    engine.add_argument(
        "-n", "--lines", type=_positive_number, default=100, metavar="N", help="logs: last N lines (100)"
    )
    manifest = add_command("manifest", "Print the manifest to create the Slack app from.", configured=False)
    manifest.add_argument("--url", metavar="URL", help="for HTTP instead of Socket Mode: https://you/slack/events")
    manifest.add_argument("--oauth", metavar="URL", help="for many workspaces: Kvasir's public address, https://you")
    return top


def _add_common_options(command: argparse.ArgumentParser, *, configured: bool = True, json: bool = True) -> None:
    if configured:
        # Without its default, the option of the whole command stays.
        command.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=_CONFIG_HELP)
    if json:
        command.add_argument("--json", action="store_true", help="one JSON object on stdout; logs go to stderr")


def _add_question_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    ask = add("ask", "Answer questions here, without Slack.", json=True)
    ask.add_argument("question", help="the question, or - for one question a line of standard input")
    ask.add_argument("--think", choices=("deep", "normal", "off"), help="how long the model thinks first")
    ask.add_argument("--as", dest="person", metavar="USER", help=_AS_HELP)
    ask.add_argument("--profile", metavar="NAME", help="answer from guidelines alone, as this profile says")
    ask.add_argument("--web", action="store_true", help="search the web too")
    note = add("note", "Write the note of a conversation, with the lines that support each sentence.", json=True)
    note.add_argument("profile", metavar="PROFILE", help="a profile of kind note, such as visit-note")
    note.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a transcript: lines such as “[doctor] How are you?”"
    )
    search = add("search", "Show the passages that a question finds.", json=True)
    search.add_argument("query", help="the question, or - for one question a line of standard input")
    search.add_argument("--limit", type=_positive_number, default=8, metavar="N", help="at most this many passages (8)")
    search.add_argument("--as", dest="person", metavar="USER", help=_AS_HELP)
    access = add("access", "Explain who may read a document.", json=True)
    access.add_argument("action", choices=("explain",), help="say whether a person may read it, and why")
    access.add_argument("person", metavar="USER", help="a Slack id or an e-mail address")
    access.add_argument("document", metavar="DOCUMENT", help="source/document as in status and search, or a title")


def _add_answer_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    verify = add("verify", "Show which sentences of answers their passages support.")
    verify.add_argument("lines", choices=("-",), help="one JSON object a line of standard input: see docs/operating.md")
    verify.add_argument("--judge", choices=("off", "engine"), default="off", help="who decides on borderline sentences")

    feedback = add("feedback", "Export how people rated the answers.", json=True)
    feedback.add_argument("action", choices=("export",), help="write one JSON object a line for each vote")
    feedback.add_argument("file", type=Path, metavar="FILE", help="the file, which is replaced: votes.jsonl")


def _add_audit_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    audit = add("audit", "Verify, export or summarise the record of who asked, read and changed what.", json=True)
    audit.add_argument("action", choices=("verify", "export", "report", "rotate"), help="rotate: sign with a new key")
    audit.add_argument("--since", default="", metavar="DATE", help="only entries from this day on: 2026-11-30")
    audit.add_argument("--person", default="", metavar="USER", help="only entries about this person, by Slack id")
    audit.add_argument("--heads", type=Path, metavar="FILE", help="verify: heads that syslog kept elsewhere")


def _add_web_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    fetch = add("fetch", "Show what Kvasir reads from pages of the web, or why it refuses them.", json=True)
    fetch.add_argument("urls", nargs="+", metavar="URL", help="http:// or https://; several are read at the same time")
    cache = add("cache", "Delete the cached pages of the web.", json=True)
    cache.add_argument("action", choices=("clear",), help="delete the pages; models and the engine stay")


def _add_database_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    migrate = add("migrate", "Show, or apply, what an update changes in Kvasir's tables.", json=True)
    way = migrate.add_mutually_exclusive_group(required=True)
    way.add_argument("--check", action="store_true", help="change nothing; exit status 1 if a revision is due")
    way.add_argument("--apply", action="store_true", help="bring the tables to the newest revision")
    backup = add("backup", "Back up the tables, the added files and the audit, while Kvasir runs.", json=True)
    backup.add_argument("folder", type=Path, metavar="DIR", help="a new folder, which only this account can read")
    backup.add_argument("--vectors", action="store_true", help="the passages too, so that none is embedded again")
    restore = add("restore", "Restore a backup into an empty database and an empty KVASIR_HOME.", json=True)
    restore.add_argument("folder", type=Path, metavar="DIR", help="the folder of the backup")
    restore.add_argument(
        "--audit", type=Path, metavar="DIR", help="a newer audit, whose erasures are repeated (that of KVASIR_HOME)"
    )
    erase = add("erase", "Delete what is stored about a person or a workspace, and print a receipt.", json=True)
    erase.add_argument("subject", metavar="USER|WORKSPACE", help="the Slack id of a person, workspace or organization")
    erase.add_argument("--dry-run", action="store_true", help="count what would be deleted, and change nothing")
    export = add("export", "Export what is stored about a person.")
    export.add_argument("user", metavar="USER", help="the Slack id of the person")
    export.add_argument(
        "--json", type=Path, metavar="PATH", help="a file, or a folder for the person's files too (standard output)"
    )


def _add_key_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    keys = add("keys", "Create, list or revoke keys of the HTTP API.", configured=False)
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a key, and show it once")
    create.add_argument("name", metavar="NAME", help="what you call it")
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person", metavar="USER", help="a person's key: a Slack id or an e-mail address")
    whose.add_argument("--application", action="store_true", help="for a trusted program that names its people")
    create.add_argument(
        "--named-by", choices=("header", "body"), default="header", help="where an application's requests name people"
    )
    create.add_argument("--scope", action="append", choices=("answer", "search"), help="what it may do (both)")
    create.add_argument("--source", action="append", default=[], metavar="SOURCE", help="search only this source (all)")
    create.add_argument("--days", type=_positive_number, metavar="N", help="expire after N days (never)")
    create.add_argument("--per-minute", type=_positive_number, default=0, metavar="N", help="requests in a minute")
    create.add_argument("--parallel", type=_positive_number, default=16, metavar="N", help="requests at once (16)")
    listing = actions.add_parser("list", help="list all keys, without their secrets")
    revoke = actions.add_parser("revoke", help="revoke a key; running answers stop")
    revoke.add_argument("id", metavar="ID", help="the part of the key after kvasir_, as in the list")
    for action in (create, listing, revoke):
        _add_common_options(action)


def _add_sync_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    sync = add("sync", "Sync the documents with their sources.", json=True)
    sync.add_argument("source", nargs="?", help="the name of one source (all sources)")
    sync.add_argument(
        "--approve",
        action="store_true",
        help="list again, then delete the documents pending deletion",
    )
    sync.add_argument("--on", metavar="ADDRESS", help="compute on this Ray cluster: ray://host:10001 (this machine)")
    add("calibrate", "Fit what the vectors of an embedder of your own mean, once.", json=True)


def _add_profile_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    profiles = add("profiles", "List, check or copy the profiles for records, contracts and transactions.", json=True)
    profiles.add_argument(
        "--copy", nargs=2, metavar=("NAME", "NEW"), help="copy a profile into your folder, to edit it"
    )
    transactions = add("transactions", "Rank the accounts of a table of transactions by a profile's rules.", json=True)
    transactions.add_argument("profile", help="the name of a profile such as money-laundering")
    table = transactions.add_mutually_exclusive_group()
    table.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a table: .csv, .csv.gz or .parquet")
    table.add_argument("--source", help="a source of kind sql whose rows are the table")
    table.add_argument("--figures", action="store_true", help="show what people decided about the cases of each rule")
    transactions.add_argument(
        "--share", type=float, default=10.0, metavar="PERCENT", help="the most accounts to flag, of all (10)"
    )
    transactions.add_argument("--csv", action="store_true", help="one line for each account, for a spreadsheet")
    transactions.add_argument("--open-cases", action="store_true", help="open a case for each account in Slack")
    transactions.add_argument("--as", dest="person", metavar="USER", help=_AS_HELP)
    extract = add("extract", "Take the values of a profile out of files, and say where each stands.", json=True)
    extract.add_argument("profile", metavar="PROFILE", help="contract, kyc, medical-record or one of yours")
    extract.add_argument("files", nargs="+", type=Path, metavar="FILE", help="read and not stored")
    extract.add_argument("--csv", action="store_true", help="one row for each value")
    check = add("check", "Check the statements of a profile against contracts, and cite the clauses.", json=True)
    check.add_argument("profile", metavar="PROFILE", help="nda-checklist or one of yours")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="read and not stored")
    check.add_argument("--against", type=Path, metavar="NEW", help="show what changed from FILE to this version")
    check.add_argument("--csv", action="store_true", help="one row for each clause or change")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong use, 3 documents pending deletion."""
    arguments = build_parser().parse_args(argv)
    _protect_memory()
    os.umask(PRIVATE_UMASK)
    try:
        return asyncio.run(_run_command(arguments))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of the output has ended. Without this, the interpreter would flush into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


async def _run_command(arguments: argparse.Namespace) -> int:
    from bot.errors import SettingsError  # noqa: PLC0415 - ``--help`` does not need it

    package = "bot.cli.commands.knowledge" if arguments.command in _KNOWLEDGE_COMMANDS else "bot.cli.commands"
    command = importlib.import_module(f"{package}.{arguments.command}")
    _stop_on_sigterm()
    try:
        status: int = await command.main(arguments)
    except SettingsError as error:
        print(f"kvasir: {error}", file=sys.stderr)  # noqa: T201
        return WRONG_USE
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # people get a sentence instead of a traceback
        from bot.messages.errors import describe_error  # noqa: PLC0415
        from bot.terminal.output import print_error  # noqa: PLC0415

        print_error(describe_error(error), error)
        return FAILED
    return status


def _protect_memory() -> None:
    """Let no other process of this user read the memory and the environment of this one, nor a core dump."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _stop_on_sigterm() -> None:
    """Make SIGTERM cancel the command, as Ctrl-C does, so that everything is closed in order."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _positive_number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
