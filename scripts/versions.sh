#!/bin/sh
# Run the tests at the edges of what pyproject.toml allows:
#   sh scripts/versions.sh minimal [pytest arguments]    .venv-minimal: Python 3.11, the lowest version of all that it names
#   sh scripts/versions.sh newest  [pytest arguments]    .venv-newest: the newest version of everything, no constraint
# Without arguments of pytest the tests of tests/ run, one process. The CPU build of torch comes from its own index; where
# that index cannot be reached, the registry's build is taken: on Linux with GPU libraries, about 5 GB on disk.
#   PYTHON   the interpreter (default: python3.11 for minimal, python3 for newest)
set -eu
cd "$(dirname "$0")/.."
edge=${1:-}
[ $# -eq 0 ] || shift
case $edge in
minimal) python=${PYTHON:-python3.11} resolution=lowest-direct ;;
newest) python=${PYTHON:-python3} resolution=highest ;;
*)
  echo "which edge? got '$edge'; say minimal or newest" >&2
  exit 2
  ;;
esac
[ -x .venv/bin/uv ] || sh scripts/setup.sh
venv=.venv-$edge
rm -rf "$venv"
.venv/bin/uv venv --quiet --python "$python" "$venv"

install() { .venv/bin/uv pip install --quiet --python "$venv/bin/python" --upgrade --resolution "$resolution" "$@" --editable ".[dev]"; }
index="the CPU index of torch"
install --torch-backend=cpu 2>"$venv/why" || {
  echo "no torch from its CPU index ($(tail -n 1 "$venv/why" | sed 's/^ *//')): taking the registry's build" >&2
  index="the registry"
  install
}
"$venv/bin/python" - "$edge" "$index" <<'END'
import sys
from importlib.metadata import requires, version
from re import match

names = [match(r"[\w.-]+", line)[0] for line in requires("jensen") if "extra" not in line]
found = ", ".join(f"{name} {version(name)}" for name in names)
print(f"{sys.argv[1]}: Python {sys.version.split()[0]}, {found}; torch from {sys.argv[2]}")
END
[ $# -gt 0 ] || set -- tests
# old releases of others use names that newer ones deprecate, and new releases deprecate what is used here: news, no failure
OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} \
  exec "$venv/bin/python" -m pytest -q -p no:cacheprovider -W ignore::DeprecationWarning -W ignore::FutureWarning "$@"
