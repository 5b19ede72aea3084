#!/bin/sh
# Make .venv: the environment that everything else runs in.
#   scripts/setup.sh kvasir   what `make run` needs, with text recognition if KVASIR_OCR=on
#   scripts/setup.sh dev      also what the tests need
# Exit status: 0 done, 2 something is missing that you have to install (the message names it).
set -eu
cd "$(dirname "$0")/.."
profile=${1:-kvasir}
ocr=${KVASIR_OCR:-$(sed -n 's/^KVASIR_OCR=//p' .env 2>/dev/null | tail -n 1)}
[ "$profile $ocr" = "kvasir on" ] && profile=ocr # what it needs besides, for text recognition
python=${PYTHON:-python3}

say() { printf '%s\n' "kvasir setup: $*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    say "Python 3.11 or newer is needed. Install it, or name one: make setup PYTHON=/path/to/python3.11"
    exit 2
}

stamp=.venv/.kvasir-setup
# What this environment was made from: its requirements, the project's metadata and the interpreter.
wanted=$(cat requirements/kvasir.txt requirements/ocr.txt requirements/dev.txt requirements/build.txt requirements/uv.txt pyproject.toml |
    cksum | cut -d' ' -f1)-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
has=$(cat "$stamp" 2>/dev/null || true)
[ "$has" = "dev $wanted" ] && exit 0
[ "$has" = "$profile $wanted" ] && exit 0
case "$has" in "dev "*) profile=dev ;; esac # never remove a developer's tools

if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing python3-venv with apt-get"
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >/dev/null
        else
            say "$python cannot make environments. As root: apt-get install python3-venv"
            exit 2
        fi
    fi
    say "making .venv"
    rm -rf .venv
    "$python" -m venv .venv
fi

rm -f "$stamp"
if ! [ -x .venv/bin/uv ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi
say "installing pinned packages ($profile)"
VIRTUAL_ENV=$PWD/.venv
export VIRTUAL_ENV
.venv/bin/uv pip install --require-hashes -r "requirements/$profile.txt"
.venv/bin/uv pip install --quiet --no-deps --build-constraint requirements/build.txt -e .
.venv/bin/python -m compileall -q bot engine knowledge
printf '%s\n' "$profile $wanted" >"$stamp"
