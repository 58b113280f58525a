# make demo    build, install, run the demo, print where its report is
# make test    build, install, lint, types, C++ tests, Python tests
# make fuzz    fuzz the kernels under sanitizers (needs clang; FUZZ_SECONDS=600 for each target)
# make tsan    the threaded paths under ThreadSanitizer
# make laws    every test of a law of a sampler (LAWS_DRAWS=4 for four times the draws)
# make dieharder  the random words and normals under dieharder (needs dieharder)
# make bench   run the benchmarks (ARGS="--scale 0.01", ARGS="--only tokenize")
# make docs    build the site into docs/_build/html, its notebooks run, warnings as errors
# make wheel-check  build what a release publishes into dist, and prove of it what one machine can
# make dependency-wheels  which dependencies have no wheel where a release has one
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
SOURCES = $(shell find cpp python -type f -not -name '*.pyc' -not -name '*.so') CMakeLists.txt pyproject.toml

.PHONY: demo test lint types ctest pytest fuzz tsan laws dieharder bench docs wheel-check dependency-wheels format clean
FUZZ_SECONDS ?= 600
LAWS_DRAWS ?= 1

demo: $(VENV)/installed
	$(BIN)/bulkgen demo --out demo --overwrite

test: lint types ctest pytest

lint: $(VENV)/dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'cpp/**.hpp' 'cpp/**.cpp')
	PYTHONPATH=python $(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github
	$(BIN)/check-added-large-files --enforce-all --maxkb=1000 $$(git ls-files)
	$(BIN)/check-merge-conflict --assume-in-merge $$(git ls-files)

types: $(VENV)/installed
	$(BIN)/mypy

ctest: $(VENV)/dependencies
	export PATH=$(CURDIR)/$(BIN):$$PATH; for preset in test sanitize; do \
	  cmake --preset $$preset >/dev/null && cmake --build --preset $$preset && ctest --preset $$preset || exit 1; \
	done

# files are shared out to the cores; two tests build C++ with the cmake of the environment
pytest: $(VENV)/installed
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_ARGUMENTS)

fuzz: $(VENV)/installed
	export PATH=$(CURDIR)/$(BIN):$$PATH; cmake --preset fuzz >/dev/null && cmake --build --preset fuzz && \
	  python benchmarks/reliability/fuzz.py --seconds $(FUZZ_SECONDS)

tsan: $(VENV)/dependencies
	export PATH=$(CURDIR)/$(BIN):$$PATH; cmake --preset thread >/dev/null && cmake --build --preset thread && \
	  python benchmarks/reliability/races.py

laws: $(VENV)/installed
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python benchmarks/reliability/laws.py --draws $(LAWS_DRAWS)

dieharder: $(VENV)/installed
	$(BIN)/python benchmarks/reliability/dieharder.py

bench: $(VENV)/installed
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python benchmarks/run.py $(ARGS)

docs: $(VENV)/installed $(VENV)/docs
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m sphinx -W --keep-going -n -b html docs docs/_build/html

wheel-check: $(VENV)/release
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python tools/wheel_check.py $(ARGS)

dependency-wheels: $(VENV)/release
	$(BIN)/python tools/dependency_wheels.py

format: $(VENV)/dependencies
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'cpp/**.hpp' 'cpp/**.cpp')

$(VENV)/dependencies: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt --group dev
	touch $@

$(VENV)/docs: $(VENV)/dependencies
	$(PIP) install --quiet --constraint constraints.txt --group docs
	touch $@

$(VENV)/release: $(VENV)/dependencies
	$(PIP) install --quiet --constraint constraints.txt --group release
	touch $@

# without build isolation: the build uses the pinned tools of the environment
$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	PATH=$(CURDIR)/$(BIN):$$PATH $(PIP) install --quiet --constraint constraints.txt --no-build-isolation '.[all]'
	touch $@

clean:
	rm -rf build dist $(VENV) demo docs/_build docs/reference/generated
