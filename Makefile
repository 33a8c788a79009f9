# Every target makes its own environment in .venv; no root, nothing outside this folder, nothing twice.
# PYTHON names the interpreter; TORCH_INDEX an extra index from which pip may take torch (README.md says when that is worth while).

PYTHON ?= python3 python3.11 python3.12 python3.13 python
TORCH_INDEX ?=
DEMO ?=
TESTS ?=
ONLY ?=
CANARY ?= PySide6-Essentials

# Half of what tests do is waiting for other processes: three workers fill two cores.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SOURCES := -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
NO_INDEX := no package index answers: connect this machine, or set PIP_INDEX_URL to an index it can reach, and run make again
LOOKS_AT_QT := from PySide6 import QtGui, QtTest, QtWidgets

.PHONY: demo test test-all check bench docs screenshots canary

demo: .venv/.ready
	@$(BIN)/heliograph demo $(DEMO)

test: .venv/.ready
	@$(call pytest,$(WORKERS))

test-all: .venv/.ready
	@$(call pytest,$(WORKERS) -m "not hardware")

check: .venv/.ready .typing/heliograph
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=.typing $(BIN)/mypy --explicit-package-bases -p heliograph
	MYPYPATH=.typing $(BIN)/mypy --explicit-package-bases tests
	PYTHONPATH=.typing $(BIN)/lint-imports --no-logo

bench: .venv/.bench
	@$(BIN)/python -m benchmarks $(addprefix --only ,$(ONLY))

docs: .venv/.docs
	@$(BIN)/mkdocs build --strict --quiet && echo "Open site/index.html"

# Of a live simulated bench, a minute and a half.
screenshots: .venv/.ready
	@QT_QPA_PLATFORM=offscreen $(BIN)/python docs/screenshots.py

# Whether the newest PySide6, in a folder of its own, may be allowed: a quarter of an hour.
canary: .venv/.ready
	@rm -rf .venv/canary; $(PIP) install --quiet --target .venv/canary '$(CANARY)' 2>.venv/canary.log || { cat .venv/canary.log >&2; echo "$(NO_INDEX)" >&2; exit 1; }
	@export PYTHONPATH=.venv/canary QT_QPA_PLATFORM=offscreen; \
	with=$$($(BIN)/python -c 'import sys, PySide6; print("PySide6", PySide6.__version__, "on Python", sys.version.split()[0])'); \
	echo "Drawing every page 2,000 times with $$with"; \
	if $(BIN)/python -m pytest -n 2 -m slow tests/gui/test_repaint.py --tb=short -q; \
	then echo "green: with $$with no page loses a reference; the bound in pyproject.toml and constraints.txt may rise to it"; \
	else echo "red: $$with does not stand 2,000 drawings; the bound in pyproject.toml and constraints.txt stays"; exit 1; fi

# pytest-qt ends pytest before the first test where Qt's libraries are missing.
define pytest
qt=; $(BIN)/python -c '$(LOOKS_AT_QT)' 2>/dev/null || qt='-p no:pytest-qt'; \
$(BIN)/python -m pytest $$qt $(1) $(TESTS)
endef

# An environment knows its own path: in a folder that was moved or copied it is made anew.
ifneq ($(shell cat .venv/.ready 2>/dev/null),$(CURDIR))
.PHONY: .venv/.ready
endif

.venv/.ready: pyproject.toml constraints.txt
	@test ! -e $@ || test "$$(cat $@)" = "$(CURDIR)" || rm -rf .venv; \
	python=; for name in $(PYTHON); do \
		if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; done; \
	test -n "$$python" || { echo "no Python 3.11 or newer was found: install one (python.org, or apt-get install python3), or name it with make PYTHON=/path/to/python3" >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { echo "$$python cannot make environments: install its venv (Debian, Ubuntu: sudo apt-get install python3-venv) and run make again" >&2; exit 1; }; \
	test -e .venv/bin/python || echo "Setting up in $(CURDIR)/.venv: about 0.5 GB to download, 2.1 GB on disk, nothing outside it. Where pip takes torch with CUDA (Linux, PyPI) it is some 3 GB more; README.md says how to avoid that."; \
	$(BIN)/python -c '' 2>/dev/null || "$$python" -m venv --clear .venv || { echo "$(CURDIR)/.venv cannot be made: free some disk space and see that the folder is writable" >&2; exit 1; }; \
	$(PIP) download --quiet --no-deps --retries 1 --timeout 20 --dest .venv/.probe 'setuptools>=77' >.venv/setup.log 2>&1 || { echo "$(NO_INDEX)" >&2; exit 1; }; \
	rm -rf .venv/.probe; \
	{ $(PIP) install $(SOURCES) -e '.[test]' 2>&1 && echo installed; } | tee .venv/setup.log | sed -n 's/^Collecting \([A-Za-z0-9._-]*\).*/  \1/p'; \
	tail -n 1 .venv/setup.log | grep -qx installed || { echo "packages could not be installed: read .venv/setup.log, mend what its last lines name (network, disk space), and run make again" >&2; exit 1; }; \
	echo "$(CURDIR)" >$@

.venv/.bench: .venv/.ready
	@$(PIP) install --quiet $(SOURCES) -e '.[bench]' || { echo "$(NO_INDEX)" >&2; exit 1; }; touch $@

.venv/.docs: .venv/.ready
	@$(PIP) install --quiet $(SOURCES) -e '.[docs]' || { echo "$(NO_INDEX)" >&2; exit 1; }; touch $@

.typing/heliograph:
	@mkdir -p .typing && ln -sfn .. .typing/heliograph
