# Two commands do everything: `make demo` and `make test`. Each makes .venv first if need be.
#   PYTHON=python3.12      the interpreter to start from
#   TORCH_BACKEND=cu128    with `make clean demo`: another build of torch than the CPU one (auto: what fits)

.NOTPARALLEL:
.PHONY: demo test lint check docs soak bench clean
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

# about 15 minutes on two cores; each part prints its figures last
soak: .venv/.ready
	.venv/bin/python scripts/soak_crash.py --moments 100
	JENSEN_FUZZ=3600 .venv/bin/python -m pytest -q -s tests/unit/test_fuzz.py -k damaged
	.venv/bin/python -m pytest -q -m slow tests

bench: .venv/.ready
	.venv/bin/python bench/startup.py
	.venv/bin/python bench/loop.py
	.venv/bin/python bench/masked.py
	.venv/bin/python bench/spline.py
	.venv/bin/python bench/autoregressive.py --only 2x16
	.venv/bin/python bench/flows.py --quick

.venv/.ready: pyproject.toml constraints.txt scripts/setup.sh
	sh scripts/setup.sh

clean:
	rm -rf .venv report runs build dist site
