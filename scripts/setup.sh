#!/bin/sh
# Make .venv from pyproject.toml and constraints.txt.
#   PYTHON         the interpreter to start from (3.11 or newer; default python3)
#   TORCH_BACKEND  cpu (default), auto, or a CUDA version such as cu128
#   EXTRAS         which extras to install (default dev)
# Where pip is told to take wheels from a local folder (PIP_FIND_LINKS, UV_FIND_LINKS
# or pip's own configuration), that folder is used instead of a torch backend.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extras=${EXTRAS:-dev}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "jensen needs Python 3.11 or newer; $python is $("$python" --version 2>&1)." >&2
  echo "Name another one: make test PYTHON=/path/to/python3.12" >&2
  exit 2
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' constraints.txt)"

links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}
set -- --python .venv/bin/python --constraint constraints.txt --editable ".[$extras]"
if [ -n "$links" ]; then
  for link in $links; do set -- "$@" --find-links "$link"; done
else
  set -- "$@" --torch-backend="${TORCH_BACKEND:-cpu}"
fi
.venv/bin/uv pip install --quiet "$@"
touch .venv/.ready
