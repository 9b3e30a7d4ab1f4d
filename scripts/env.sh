#!/bin/sh
# Make .venv/ contain exactly requirements.lock plus this checkout; do nothing if it already does.
# Needs a POSIX shell and either uv or any Python 3.8+ with pip. Finds a Python >= 3.12 on PATH or
# under pyenv, or lets uv download one.
set -eu
cd "$(dirname "$0")/.."
UV_VERSION=0.13.8
PYTHON_FALLBACK=3.12

fingerprint() { cat requirements.lock pyproject.toml scripts/env.sh | cksum; }
stamp=.venv/.fingerprint
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; then
    exit 0
fi

find_uv() {
    if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
        echo uv
        return
    fi
    if [ ! -x .uv/bin/uv ]; then
        python3 -m venv .uv >/dev/null 2>&1 && .uv/bin/python -m pip install -q "uv==$UV_VERSION" >&2 ||
            { rm -rf .uv && python3 -m pip install -q --target .uv "uv==$UV_VERSION" >&2; } ||
            { echo "env: neither uv nor a Python with pip was found; install uv, then run make again" >&2; exit 2; }
    fi
    echo .uv/bin/uv
}

modern() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

find_python() {
    for candidate in python3 python3.12 python3.13 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python; do
        if modern "$candidate"; then
            command -v "$candidate"  # the full path: uv would resolve the name differently
            return
        fi
    done
    echo "$PYTHON_FALLBACK"
}

uv=$(find_uv)
rm -f "$stamp"
[ -x .venv/bin/python ] && modern .venv/bin/python ||
    "$uv" venv -q --clear --python "$(find_python)" .venv
export VIRTUAL_ENV="$PWD/.venv"
"$uv" pip sync -q --compile-bytecode --require-hashes requirements.lock
"$uv" pip install -q --no-deps --no-build-isolation --editable .
fingerprint >"$stamp"
echo "env: .venv is ready ($(.venv/bin/python --version))" >&2
