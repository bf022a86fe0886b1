#!/usr/bin/env bash
# Makes .venv with everything that Verglas needs, and installs the system libraries of Qt and OpenGL
# where it may. Does nothing, quickly, when all is there. PYTHON=/path/to/python chooses the Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] Error: %s\n' "$*" >&2; exit 1; }

good_python() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    say "Installing system packages: $*"
    apt-get update -qq || say "Warning: the package lists can't be refreshed; trying with the old ones."
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        good_python "$PYTHON" || die "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13."
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3 python \
        "$HOME"/.pyenv/versions/3.1[123]*/bin/python; do
        if good_python "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local python
    python=$(find_python) || die "Python 3.11, 3.12 or 3.13 is needed (sudo apt-get install python3 python3-venv, or python.org)."
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        local package
        package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
        as_root || die "$python can't make virtual environments: sudo apt-get install $package"
        apt_install "$package"
    fi
    say "Making .venv with $("$python" --version)."
    rm -rf .venv
    "$python" -m venv .venv
}

# A virtual environment whose Python is gone (moved, upgraded, copied from elsewhere) is made again.
if [ -e .venv ] && ! { good_python .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    say "The .venv here no longer works; making it again."
    rm -rf .venv
fi
[ -e .venv ] || make_venv

stamp=.venv/verglas-setup
wanted=$({ cat pyproject.toml; pwd; } | .venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    say "Installing Verglas and its packages into .venv: minutes the first time (PyTorch is large)."
    rm -f "$stamp"
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off -e '.[dev]'
    say "Compiling the assignment of points: half a minute, once."
    .venv/bin/python -c 'from engine.assignment.transport import compile_now; compile_now()'
    echo "$wanted" >"$stamp"
    say "Packages are installed."
fi

missing=$(.venv/bin/python -c 'from engine.doctor import missing_packages; print(*missing_packages(display=True))')
if [ -n "$missing" ]; then
    if as_root; then
        # shellcheck disable=SC2086  # a list of packages
        apt_install $missing || say "Warning: not all could be installed; the window may not work."
    else
        say "Warning: the window and its tests need: sudo apt-get install $missing"
    fi
fi
