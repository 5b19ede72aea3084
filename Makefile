# make run    sets everything up and opens Kvasir: a Slack workspace on this machine, or yours with tokens in .env
# make test   sets everything up and tests the product with its embedded defaults
# make check  a developer's inner loop: lint, types, the fast tests that a change can reach
.DEFAULT_GOAL := help
.PHONY: help setup dev run services lint test test-servers check soak bench eval eval-profiles eval-answers format requirements sbom

PYTHON ?= python3
DOCS ?=
# Without cached bytecode, each process that a test starts compiles all its imports.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n 's/^# //p' Makefile | head -3
	@echo 'make test-servers      starts every server and passes all other tests'
	@echo 'make run DOCS=/path   answers from that folder'
	@echo 'make setup | soak | bench | eval | eval-profiles | eval-answers | format | requirements | sbom'

setup:
	@PYTHON="$(PYTHON)" scripts/setup.sh kvasir
	@.venv/bin/python -m bot.prepare embedder

dev:
	@PYTHON="$(PYTHON)" scripts/setup.sh dev

run: setup
	@exec .venv/bin/kvasir run --make $(if $(DOCS),--docs "$(DOCS)")

services: dev
	@scripts/test-services.sh

# The first tier needs Python, git and make alone. Four processes share two cores, because tests also wait. Meanwhile the
# engine's environment is installed, and what is downloaded is printed. The answer of the real SGLang comes last.
PYTEST = .venv/bin/python -m pytest -q
ENGINE = KVASIR_MODEL=Qwen2.5-Coder-0.5B-Instruct .venv/bin/python -m bot.prepare engine-cpu
test: dev
	@.venv/bin/python -m bot.prepare embedder
	@$(ENGINE) & engine=$$!; trap 'kill $$engine 2>/dev/null' EXIT; \
	$(PYTEST) -n 4 --dist worksteal -m 'not servers and not engine' tests && wait $$engine && \
	$(PYTEST) -m 'not servers and engine' tests/e2e

# The second tier has every real server, and what takes long. Tests with servers mostly wait for them, so five processes
# share two cores. SGLang mostly starts, with one thread, so two files of its tests share them. Last comes what needs the
# machine alone.
test-servers: services
	@.venv/bin/python -m bot.prepare embedder
	@$(ENGINE)
	@$(PYTEST) -n 5 --dist worksteal -m 'servers and not engine and not alone' tests
	@$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m 'servers and engine and not alone' tests/engine/real tests/e2e
	@$(PYTEST) -m 'servers and alone' tests/engine/real tests/e2e

lint: dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/mypy --explicit-package-bases tests/answering

check: lint
	@.venv/bin/python -m bot.prepare embedder
	@$(PYTEST) -n 3 --hypothesis-profile check -m 'not slow and not servers' $$(.venv/bin/python -m tests.changed_tests)

# 10,000 questions with each database: exactly one answer. The same with each store: who may read what.
# It takes hours; an interrupted run continues.
SOAK ?= --questions 10000
soak: services
ifneq (,$(findstring --kind,$(SOAK)))
	.venv/bin/python scripts/soak.py $(SOAK)
else
	.venv/bin/python scripts/soak.py $(SOAK) --kind turns --database sqlite --jobs 8
	.venv/bin/python scripts/soak.py $(SOAK) --kind turns --database postgres --jobs 8
	.venv/bin/python scripts/soak.py $(SOAK) --questions 200 --kind rolling --database postgres
	.venv/bin/python scripts/soak.py $(SOAK) --kind audiences --store lancedb
	.venv/bin/python scripts/soak.py $(SOAK) --kind audiences --store weaviate
	.venv/bin/python scripts/soak.py $(SOAK) --questions 200 --kind leaders --jobs 2
	.venv/bin/python scripts/soak.py $(SOAK) --kind migrations --database sqlite
	.venv/bin/python scripts/soak.py $(SOAK) --kind migrations --database postgres
endif

# Each figure has a baseline of the same run. KVASIR_EVAL_DIR names real texts, see `make eval`.
bench: dev
	@.venv/bin/python -m bot.prepare embedder
	.venv/bin/python scripts/bench_startup.py
	.venv/bin/python scripts/bench_turns.py
	.venv/bin/python scripts/bench_memory.py
	.venv/bin/python scripts/bench_search.py
	.venv/bin/python scripts/bench_web.py
	.venv/bin/python scripts/bench_page_cache.py
	.venv/bin/python scripts/bench_live.py
	.venv/bin/python scripts/bench_cache.py
	.venv/bin/python scripts/bench_audit.py
	.venv/bin/python scripts/bench_engine.py
	.venv/bin/python scripts/bench_line.py
	.venv/bin/python scripts/bench_sync.py $(if $(KVASIR_EVAL_DIR),"$(KVASIR_EVAL_DIR)/apisix-docs",docs)

eval: dev
	@.venv/bin/python -m bot.prepare embedder
	.venv/bin/python scripts/eval_support.py
	.venv/bin/python scripts/eval_retrieval.py
	.venv/bin/python scripts/eval_related.py
	.venv/bin/python scripts/eval_extracts.py
	.venv/bin/python scripts/eval_documents.py
	.venv/bin/python scripts/eval_live.py
	.venv/bin/python scripts/eval_followups.py
	.venv/bin/python scripts/eval_verified.py
	.venv/bin/python scripts/eval_extraction.py

# Compare Kvasir with a plain recipe on the same model. It takes hours on a CPU; an interrupted run continues.
# ANSWERS takes the script's options; without KVASIR_ENGINE_URL the engine that Kvasir starts answers.
ANSWERS ?=
eval-answers: dev
	@.venv/bin/python -m bot.prepare embedder $(if $(KVASIR_ENGINE_URL),,engine-cpu)
	.venv/bin/python scripts/eval_answers.py $(ANSWERS)

# Measure the profiles. PROFILES is the folder of data; some scripts ask a model, and each says what it needs.
PROFILES ?= $(KVASIR_EVAL_DIR)/profiles
eval-profiles: dev
	@.venv/bin/python -m bot.prepare embedder $(if $(KVASIR_ENGINE_URL),,engine-cpu)
	.venv/bin/python scripts/eval_transactions.py $(PROFILES)/transactions
	.venv/bin/python scripts/eval_customer_questions.py
	.venv/bin/python scripts/eval_reports.py
	.venv/bin/python scripts/eval_public_rules.py
	.venv/bin/python scripts/eval_sources.py
	.venv/bin/python scripts/eval_guidance.py
	.venv/bin/python scripts/eval_notes.py
	.venv/bin/python scripts/eval_extraction_profiles.py --contracts $(PROFILES)/contracts
	$(if $(wildcard $(PROFILES)/nda/test.json),.venv/bin/python scripts/eval_checklist.py --data $(PROFILES)/nda/test.json --learn $(PROFILES)/nda/dev.json)
	.venv/bin/python scripts/eval_ocr.py pages
	.venv/bin/python scripts/eval_ocr.py contracts

format: dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

# Compile the pinned requirements again, without index addresses.
UVC = .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header
requirements: dev
	$(UVC) requirements/uv.in -o requirements/uv.txt
	$(UVC) requirements/build.in -o requirements/build.txt
	$(UVC) requirements/go.in -o requirements/go.txt
	$(UVC) pyproject.toml -o requirements/kvasir.txt
	$(UVC) requirements/ray.in --constraint requirements/kvasir.txt -o requirements/ray.txt
	$(UVC) pyproject.toml --extra ocr -o requirements/ocr.txt
	$(UVC) pyproject.toml --extra ocr --group dev -o requirements/dev.txt

# The bill of materials of the packages that Kvasir installs, as CycloneDX in sbom.json.
sbom: dev
	@.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-format JSON --output-file sbom.json requirements/kvasir.txt
