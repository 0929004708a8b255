# Two commands do everything: `make demo` and `make test`. Each makes .venv first if need be.
#   PYTHON=python3.12      the interpreter to start from
#   TORCH_BACKEND=cu128    with `make clean demo`: another build of torch than the CPU one (auto: what fits)

.NOTPARALLEL:
.PHONY: demo test lint check docs soak soak-stream truth bench bench-gpu lock minimal newest audit-deps clean
export OMP_WAIT_POLICY ?= PASSIVE

demo: .venv/.ready
	.venv/bin/jensen compare digits --steps 600 --seconds 60 --lens train --overwrite

# two workers with a thread each: two threads each would wait for one another
test: export OMP_NUM_THREADS ?= 1
test: .venv/.ready
	.venv/bin/python -m pytest -q -n 2 tests
	.venv/bin/python -m pytest -q -n 2 --doctest-modules src/jensen

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

check: lint test docs

# the site, offline, in site/; a broken link or an undocumented name stops it
docs: .venv/.ready
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

# what takes too long for make test, about 15 minutes; each part prints its figures last
soak: .venv/.ready
	.venv/bin/python -m pytest -q -m slow tests
	JENSEN_FUZZ=800 .venv/bin/python -m pytest -q -s tests/unit/test_fuzz_surface.py
	JENSEN_FUZZ=3600 .venv/bin/python -m pytest -q -s tests/unit/test_fuzz.py -k damaged
	.venv/bin/python scripts/soak_crash.py --moments 100

# a generated file of 20 GB (it is removed again) read and trained on within 2 GB of memory
soak-stream: .venv/.ready
	.venv/bin/python scripts/soak_stream.py --gigabytes 20

# numbers whose truth is known: exact ones, how often intervals and bounds hold, false orders; about 6 minutes of CPU time
truth: export OMP_NUM_THREADS ?= 1
truth: .venv/.ready
	.venv/bin/python tests/truth/run.py --workers 2

# every benchmark against the peers that are installed; puts the table into README.md, if the machine was quiet
bench: .venv/.ready
	.venv/bin/python bench/report.py --write

# on a machine with a GPU: equal to the CPU? how fast, and how near its limits? At most nine minutes
bench-gpu: .venv/.ready
	.venv/bin/python bench/gpu/all.py --out gpu-all.json

# requirements-lock.txt anew, after a change of pyproject.toml or constraints.txt
lock: .venv/.ready
	sh scripts/lock.sh

# the tests with the lowest versions that pyproject.toml allows, and with the newest ones
minimal newest:
	sh scripts/versions.sh $@

# known vulnerabilities of what is locked; says so where the advisory service cannot be asked. ADVISORIES=FOLDER looks into a
# clone of the advisory database (github.com/pypa/advisory-database) instead
audit-deps: .venv/.ready
	.venv/bin/python scripts/audit_deps.py $(if $(ADVISORIES),--database $(ADVISORIES))

.venv/.ready: pyproject.toml constraints.txt requirements-lock.txt scripts/setup.sh
	sh scripts/setup.sh

clean:
	rm -rf .venv .venv-minimal .venv-newest report runs build dist site
