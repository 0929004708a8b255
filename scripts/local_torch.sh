# local_torch PYTHON REQUIREMENT [options]: install torch into that environment with .venv's uv. From a local folder of
# wheels where one that pip knows of holds a torch for this Python, else the build of TORCH_BACKEND (default cpu).
local_torch() {
  into=$1
  shift
  links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}
  tag=$("$into" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
  found=
  set -- --python "$into" "$@"
  [ -d "$links" ] || IFS=' '
  [ ! -d "$links" ] || IFS='
'
  for link in $links; do
    set -- "$@" --find-links "$link"
    for wheel in "$link"/torch-*-"$tag"-*.whl; do [ ! -e "$wheel" ] || found=yes; done
  done
  unset IFS
  if [ -z "$found" ] || [ -n "${TORCH_BACKEND:-}" ]; then
    set -- "$@" --torch-backend="${TORCH_BACKEND:-cpu}"
  fi
  .venv/bin/uv pip install --quiet "$@"
}
