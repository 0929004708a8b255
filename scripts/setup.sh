#!/bin/sh
# Make .venv from pyproject.toml and constraints.txt.
#   PYTHON         the interpreter to start from (3.11 or newer; default python3)
#   TORCH_BACKEND  cpu (default), auto, or a CUDA version such as cu128
#   EXTRAS         which extras to install (default dev,docs)
# Where pip is told of a local folder of wheels that holds torch (PIP_FIND_LINKS, UV_FIND_LINKS or pip's own
# configuration), that torch is taken, unless TORCH_BACKEND asks for another.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extras=${EXTRAS:-dev,docs}

command -v "$python" >/dev/null || {
  echo "there is no $python here; name another: make test PYTHON=/path/to/python3.12" >&2
  exit 2
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "jensen needs Python 3.11 or newer; $python is $("$python" --version 2>&1)." >&2
  echo "Name another one: make test PYTHON=/path/to/python3.12" >&2
  exit 2
}
.venv/bin/python -m pip --version >/dev/null 2>&1 || {
  rm -rf .venv
  "$python" -m venv .venv || {
    rm -rf .venv
    echo "cannot make .venv: $python lacks venv or pip (on Debian: python3-venv)" >&2
    exit 2
  }
}
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' constraints.txt)"

links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}
tag=$(.venv/bin/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
local_torch=
set -- --python .venv/bin/python --constraint constraints.txt --editable ".[$extras]"
[ -d "$links" ] || IFS=' '
[ ! -d "$links" ] || IFS='
'
for link in $links; do
  set -- "$@" --find-links "$link"
  for wheel in "$link"/torch-*-"$tag"-*.whl; do [ ! -e "$wheel" ] || local_torch=yes; done
done
unset IFS
if [ -z "$local_torch" ] || [ -n "${TORCH_BACKEND:-}" ]; then
  set -- "$@" --torch-backend="${TORCH_BACKEND:-cpu}"
fi
.venv/bin/uv pip install --quiet "$@"
touch .venv/.ready
