#!/bin/sh
# Make requirements-lock.txt anew: every package that scripts/setup.sh installs but torch, at the versions of
# constraints.txt, with the hashes of all its files, for Linux and macOS and every Python from 3.11 on.
#   UV   the uv to run (default .venv/bin/uv)
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
command -v "$uv" >/dev/null || {
  echo "there is no $uv here; run make test first, or name another: UV=/path/to/uv sh scripts/lock.sh" >&2
  exit 2
}
"$uv" pip compile --quiet --config-file scripts/lock.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-package torch --no-annotate --custom-compile-command "make lock" --extra dev --extra docs \
  --constraint constraints.txt --output-file requirements-lock.txt pyproject.toml scripts/lock.in
echo "requirements-lock.txt: $(grep -c '^[a-z].*==' requirements-lock.txt) packages," \
  "$(grep -c -- '--hash=' requirements-lock.txt) hashes"
