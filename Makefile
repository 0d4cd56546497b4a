# The commands of the house. A fresh machine needs Python >= 3.11 and make; the rest
# is installed into .venv. Stamp files make the second run quick, and an interrupted
# run is taken up again where it stopped.
#
#   make demo                 a real model writes to you
#   make test                 lint, types, floors, generated docs, tests
#   make prove NAME=...       one long proof, in full; its row goes into docs/proofs.md
#   make docs                 write again what is generated: docs/cli.md
#   make bench                the measured comparisons
#   make clean                remove .venv and caches (models are kept)
#
#   PYTHON=...                the Python to build .venv with
#   TORCH_INDEX=...           where else to look for PyTorch, e.g. its CPU builds

VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(wildcard native/*)
PYTHON ?=
TORCH_INDEX ?=
PIP = $(BIN)/python -m pip --disable-pip-version-check install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PROMPT := After the rain, the streets were

.DELETE_ON_ERROR:
.PHONY: demo test prove docs bench clean help

help:
	@sed -n 's/^#   //p' Makefile

# --clear: a venv left half made by an interruption is made again.
$(VENV)/.made:
	@found=; for p in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$p; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Studiolo needs Python 3.11 or newer, and none was found on PATH." >&2; \
	  echo "Install one, or name it: make demo PYTHON=/path/to/python3" >&2; exit 1; fi; \
	"$$found" -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "Making .venv failed: this Python lacks the venv module or its pip." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml $(NATIVE)
	@echo "Installing Studiolo into .venv (PyTorch is the large part) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.made pyproject.toml $(NATIVE)
	@echo "Installing Studiolo and what its tests need into .venv (PyTorch is the large part) ..."
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: $(VENV)/.installed-test
	@$(PIP) -e '.[bench]'
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/studiolo pull smollm2-135m-instruct
	@echo
	@echo 'SmolLM2-135M-Instruct goes on from "$(PROMPT)":'
	@echo
	@$(BIN)/studiolo generate "$(PROMPT)" --max-tokens 64 --temperature 0.8 --seed 1
	@echo
	@echo 'and what it thought of first:'
	@$(BIN)/studiolo next "$(PROMPT)" -k 8
	@echo
	@echo 'Talk to it:  $(BIN)/studiolo chat'

test: $(VENV)/.installed-test
	@echo "--- lint";            $(BIN)/ruff check .
	@echo "--- format";          $(BIN)/ruff format --check .
	@echo "--- types";           $(BIN)/mypy
	@echo "--- floors";          $(BIN)/lint-imports
	@echo "--- generated docs";  $(BIN)/python docs/make_cli.py --check
	@echo "--- tests";           $(BIN)/python -m pytest -q

prove: $(VENV)/.installed-test
	@test -n "$(NAME)" || { echo "Which? make prove NAME=...; docs/proofs.md lists them." >&2; exit 2; }
	@$(BIN)/python -m pytest -m proof --timeout 0 --prove "$(NAME)"

docs: $(VENV)/.installed-test
	@$(BIN)/python docs/make_cli.py

bench: $(VENV)/.installed-bench
	@$(BIN)/python bench/text_single.py
	@$(BIN)/python bench/text_serving.py
	@$(BIN)/python bench/quality.py
	@$(BIN)/python bench/growth.py
	@$(BIN)/python bench/embeddings.py
	@$(BIN)/python bench/door.py
	@$(BIN)/python bench/watermark.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
