# The verbs of this project; .ci/run and people call the same ones.
PYTHON = .venv/bin/python
PYTEST = $(PYTHON) -m pytest
# tests side by side, each with one thread: more would wait for each other
PARALLEL = OMP_NUM_THREADS=1 $(PYTEST) -n auto --maxprocesses 4 --dist worksteal
unexport CI

.PHONY: env demo test test-browser test-qgis qgis chromium viewers quick check lint docs bench lock clean

env:                     ## make .venv hold exactly what requirements.lock lists, and this checkout
	@sh scripts/env.sh

demo: env                ## a scene made from a seed -> chips -> model -> map -> polygons -> report
	@$(PYTHON) -m geoseg demo demo

test: env $(if $(CI),viewers) check    ## everything CI runs, the quick tests first
	$(PARALLEL) -m "not slow"
	$(PARALLEL) -m "slow and not alone"
	$(PYTEST) -m alone

test-qgis: env qgis      ## what QGIS makes of the files; installs Debian's QGIS (as root, or with sudo)
	$(PYTEST) tests/qgis -rs

test-browser: env chromium ## report.html in a real browser; installs Debian's Chromium (as root, or with sudo)
	$(PYTEST) tests/browser -rs

qgis:
	@/usr/bin/python3 -c "import qgis.core" 2>/dev/null || sh scripts/install_qgis.sh

chromium:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || sh scripts/install_chromium.sh

viewers:                 ## QGIS and Chromium where they can be had; without them their tests are skipped
	-@timeout 900 $(MAKE) qgis >&2
	-@timeout 900 $(MAKE) chromium >&2

quick: env               ## the tests that take seconds
	$(PARALLEL) -m "not slow"

check: env lint          ## format, lint, strict types, doctests, architecture
	$(PYTHON) -m mypy
	$(PYTEST) -q geoseg tests/test_architecture.py

lint: env                ## format and lint
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

docs: env                ## the site: option tables, pictures, notebooks, pages; open site/index.html
	$(PYTHON) scripts/option_tables.py
	$(PYTHON) scripts/data_table.py
	test -f demo/overview.png || $(PYTHON) -m geoseg demo demo
	$(PYTHON) scripts/pictures.py demo .site/pictures
	$(PYTHON) scripts/notebooks.py demo .site/notebooks
	$(PYTHON) -m mkdocs build --strict

bench: env               ## side by side with what a user would pick instead; prints ratios
	$(PYTHON) -m bench

lock:                    ## resolve the pins again
	uv pip compile pyproject.toml --all-extras --group dev --group docs --universal --python-version 3.12 \
		--generate-hashes --no-annotate --no-emit-index-url --upgrade \
		--custom-compile-command "make lock" -o requirements.lock

clean:                   ## remove what the other verbs made
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache demo runs dist site .site
