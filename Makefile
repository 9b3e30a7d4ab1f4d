# Targets for people and for .ci/run.
PYTHON = .venv/bin/python
PYTEST = $(PYTHON) -m pytest
# parallel tests, each with one thread: more would compete for the cores
PARALLEL = OMP_NUM_THREADS=1 $(PYTEST) -n auto --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder
unexport CI
# hundreds of tests start a geoseg of their own, which would compile its modules each time
unexport PYTHONDONTWRITEBYTECODE

.PHONY: env demo test suite test-browser test-qgis qgis chromium viewers quick check types lint docs bench lock clean

env:                     ## create .venv with exactly what requirements.lock lists, plus this checkout
	@sh scripts/env.sh

demo: env                ## generated scene -> chips -> model -> map -> polygons -> report
	@$(PYTHON) -m geoseg demo demo

test: env $(if $(CI),viewers) lint ## run everything CI runs
	$(MAKE) --no-print-directory -j 2 types suite

suite:
	$(PARALLEL)

test-qgis: env qgis      ## open the outputs in QGIS; installs Debian's QGIS (root or sudo)
	$(PYTEST) tests/qgis -rs

test-browser: env chromium ## open report.html in a browser; installs Debian's Chromium (root or sudo)
	$(PYTEST) tests/browser -rs

qgis:
	@/usr/bin/python3 -c "import qgis.core" 2>/dev/null || sh scripts/install_qgis.sh

chromium:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || sh scripts/install_chromium.sh

viewers:                 ## install QGIS and Chromium if possible; otherwise their tests are skipped
	-@timeout 900 $(MAKE) qgis >&2
	-@timeout 900 $(MAKE) chromium >&2

quick: env               ## run the tests that take seconds
	$(PARALLEL) -m "not slow"

check: lint types        ## check format, lint, strict types, doctests, architecture
	$(PYTEST) -q geoseg tests/test_architecture.py

types: env               ## check strict types
	$(PYTHON) -m mypy

lint: env                ## check format and lint
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

docs: env                ## build the site: option tables, pictures, notebooks, pages; open site/index.html
	$(PYTHON) scripts/option_tables.py
	$(PYTHON) scripts/data_table.py
	test -f demo/overview.png || $(PYTHON) -m geoseg demo demo
	$(PYTHON) scripts/pictures.py demo .site/pictures
	$(PYTHON) scripts/notebooks.py demo .site/notebooks
	$(PYTHON) -m mkdocs build --strict

bench: env               ## compare with the alternatives; prints ratios
	$(PYTHON) -m bench

lock:                    ## update requirements.lock
	uv pip compile pyproject.toml --all-extras --group dev --group docs --universal --python-version 3.12 \
		--generate-hashes --no-annotate --no-emit-index-url --upgrade \
		--custom-compile-command "make lock" -o requirements.lock

clean:                   ## remove everything the other targets made
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache demo runs dist site .site
