PYTHON ?= python3
BIN := .venv/bin
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo yes)

.PHONY: app test bake example clean

app: .venv/app
	$(BIN)/python app.py

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/oxlint --deny-warnings webapp
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

# Regenerate the avatars that ship (an environment of its own: anny brings CUDA kernels and 2 GB).
bake: .venv-bake/ready
	.venv-bake/bin/python -m tools.bake_avatars

# Regenerate the example that the app opens with.
example: .venv/app
	$(BIN)/python -m examples.make_example

clean:
	rm -rf .venv .venv-bake

.venv/app: requirements.txt requirements-core.txt tools/system_packages.sh
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("FreeAvatar needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(if $(AS_ROOT),sh tools/system_packages.sh libgl1 libglib2.0-0 python3-venv)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/python -m freeavatar warm-up
	touch $@

.venv/test: .venv/app requirements-dev.txt requirements-train.txt
	$(if $(AS_ROOT),sh tools/system_packages.sh chromium || echo "No chromium package: the browser tests will be skipped.")
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

.venv-bake/ready: requirements-bake.txt
	$(PYTHON) -m venv .venv-bake
	.venv-bake/bin/pip install --quiet --requirement requirements-bake.txt
	touch $@
