"""A stand-in for SGLang as a process: it logs lines, answers /health, has children, and misbehaves on request.

``fake_engine.py PORT RECORD BEHAVIOUR``; RECORD is a file that gets the ids of all its processes, one a line. The first
line of RECORD's sibling ``behaviours`` replaces BEHAVIOUR and is taken out of it, so that each start can differ.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def main() -> None:
    port, record, behaviour = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    behaviours = record.with_name("behaviours")
    if behaviours.exists():
        first, *rest = behaviours.read_text().split()
        behaviours.write_text("\n".join(rest or [first]))
        behaviour = first
    log(f"server_args={{'api_key': '{os.environ.get('FAKE_KEY', '')}'}}")
    if behaviour == "crash":
        log("UserWarning: this is noise")
        sys.exit('Traceback (most recent call last):\n  File "x.py", line 1, in f\nRuntimeError: Not enough memory.')
    children = [subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=apart) for apart in (False, True)]
    with record.with_name("scratch").open("a") as file:
        file.write(f"{tempfile.mkdtemp()}\n")  # as SGLang does, and removes nothing
    with record.open("a") as file:
        file.writelines(f"{pid}\n" for pid in (os.getpid(), *(child.pid for child in children)))
    if behaviour == "lingers":
        log((Path(__file__).parent / "oom" / "tails" / "port-taken.log").read_text())
    if behaviour in {"stuck", "lingers"}:
        time.sleep(600)
    serve(port, behaviour, record)


def serve(port: int, behaviour: str, record: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sick = behaviour == "sick" or record.with_name("sick").exists()
            self.send_response(503 if sick else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        if behaviour == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if behaviour != "wordless":
            log("[2026-01-01 00:00:00] Load weight begin. avail mem=1 GB")
            log("[2026-01-01 00:00:00] The server is fired up and ready to roll!")
        server.serve_forever()


def log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
