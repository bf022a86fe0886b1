#!/usr/bin/env bash
# Writes packaging/requirements.lock anew: the versions that are installed in .venv, or the newest that
# pyproject.toml allows where nothing is installed, with the hashes of the files of all platforms.
# Needs uv (https://docs.astral.sh/uv/) on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v uv >/dev/null || { printf '[lock] Error: uv is needed: pip install uv\n' >&2; exit 1; }
lock=packaging/requirements.lock
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m pip freeze --exclude-editable | sed 's/+[^+]*$//' >"$work/installed"
uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
    --constraints "$work/installed" --no-annotate --no-header --quiet --output-file "$work/new"
# The words above the first package stay.
{ sed '/^[^#]/,$d' "$lock"; cat "$work/new"; } >"$work/lock"
mv "$work/lock" "$lock"
