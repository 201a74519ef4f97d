# The same scripts by shorter names.
PY = .venv/bin/python
.PHONY: run test lint bench chaos docs audit lock

run:
	./run
test:
	./test
lint:
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/basedpyright && .venv/bin/lint-imports && .venv/bin/codespell
bench:
	$(PY) -m benchmarks $(if $(ONLY),--only $(ONLY))
chaos:
	CHAOS_SECONDS=600 $(PY) -m pytest tests/chaos -m chaos
docs:
	$(PY) -m docs.make
audit:
	$(PY) app.py audit verify
# Python 3.11 is the oldest we run on; its lock serves newer ones too, a newer one's does not serve 3.11.2.
lock:
	uv pip compile --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock -q
	uv pip compile --python-version 3.11 --generate-hashes --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock -q
