#!/bin/sh
# Make .venv: what requirements-lock.txt lists, each file by its hash; then torch; then jensen itself, editable.
#   PYTHON         the interpreter to start from (3.11 or newer; default python3)
#   TORCH_BACKEND  cpu (default), auto, or a CUDA version such as cu128
#   EXTRAS         which extras to install (default dev,docs; others have no hashes, only the versions of constraints.txt)
# Where pip is told of a local folder of wheels that holds torch (PIP_FIND_LINKS, UV_FIND_LINKS or pip's own
# configuration), that torch is taken, unless TORCH_BACKEND asks for another. Where torch's CPU index cannot be reached and
# TORCH_BACKEND asks for nothing, the registry's build is taken.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extras=${EXTRAS:-dev,docs}
TORCH_BACKEND=${TORCH_BACKEND:-}

command -v "$python" >/dev/null || {
  echo "there is no $python here; name another: make test PYTHON=/path/to/python3.12" >&2
  exit 2
}
"$python" -c '' || {
  echo "$python does not run; name another: make test PYTHON=/path/to/python3.12" >&2
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
# pip checks the installer by the same hashes as the installer checks the rest
sed -n '/^uv==/,/[^\\]$/p' requirements-lock.txt >.venv/uv.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
uv() { # uv pip install ...: into .venv
  verb=$2
  shift 2
  .venv/bin/uv pip "$verb" --quiet --python .venv/bin/python "$@"
}

# the lock is complete but for torch, so nothing is looked for beside it
uv pip install --no-deps --require-hashes --requirement requirements-lock.txt
# torch by version and not by hash: each build of it (CPU, every CUDA version, a local wheel) has its own. What it needs
# besides is installed by now, so that the CPU build adds nothing; a CUDA build adds its GPU libraries, by its own versions.
set -- --constraint constraints.txt "$(grep '^torch==' constraints.txt)"
links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}
tag=$(.venv/bin/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
local_torch=
[ -d "$links" ] || IFS=' '
[ ! -d "$links" ] || IFS='
'
for link in $links; do
  set -- "$@" --find-links "$link"
  for wheel in "$link"/torch-*-"$tag"-*.whl; do [ ! -e "$wheel" ] || local_torch=yes; done
done
unset IFS
if [ -n "$local_torch$TORCH_BACKEND" ]; then
  uv pip install "$@" ${TORCH_BACKEND:+--torch-backend="$TORCH_BACKEND"}
else
  uv pip install "$@" --torch-backend=cpu 2>.venv/why || {
    echo "no torch from its CPU index ($(tail -n 1 .venv/why | sed 's/^ *//'))" >&2
    echo "taking the registry's build: on Linux with GPU libraries, about 5 GB" >&2
    uv pip install "$@"
  }
fi

# the lock has what builds jensen, so nothing unchecked is fetched for it
uv pip install --no-deps --no-build-isolation --editable .
[ "$extras" = dev,docs ] || uv pip install --constraint constraints.txt --no-build-isolation --editable ".[$extras]"
uv pip check
touch .venv/.ready
