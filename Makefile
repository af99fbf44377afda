# The commands of the project. One profile (release) for everything, so RocksDB is compiled once.

CARGO ?= cargo
STEP := scripts/step.sh
PROGRAMS := $(or $(CARGO_TARGET_DIR),target)/release
# What `make run` serves from and with: make run DATA=/var/lib/waybill ARGS="--http 0.0.0.0:10002"
DATA ?= ./data
ARGS ?=
# Whole-system tests that need no extra package and are over in seconds.
QUICK_TESTS := arrows bad_input client client_kill command_line shutdown snapshot restore kill
# What `make fuzz` runs (all, when empty), and for how long each.
TARGET ?=
SECONDS ?= 60
# How often `make endure` kills the server, a client, and cuts the power, and how many sessions it holds over a stop and a kill.
KILLS ?= 50
CLIENT_KILLS ?= 200
CUTS ?= 20
SESSIONS ?= 1000

# The Pythons that scripts/setup.sh makes for the tests.
PYTHONS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/waybill
PYTHON := $(PYTHONS)/openapi/bin/python

.PHONY: help run build build-all test check endure fmt clippy unit golden openapi openapi-check python-client python-client-check openim-sdk sdk browser browser-check fuzz deny bench load live compare setup setup-test
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@echo "make run      install what the build needs, build, serve on $(DATA)"
	@echo "make test     install what the tests need, run every check"
	@echo "make check    the quick daily one: format, lints, tests that need no extra package"
	@echo "make endure   kills of server and client, power cuts, many sessions: KILLS=50 CLIENT_KILLS=200 CUTS=20 SESSIONS=1000"
	@echo "make openapi  the OpenAPI page against the running program; more of it: ARGS=\"--examples 500 --seed 2\""
	@echo "make python-client  a client in Python, written from docs/protocol.md, against the program"
	@echo "make openim-sdk  OpenIM's web SDK in a browser against the program"
	@echo "make fuzz     every decoder, guided by coverage; one of them, longer: TARGET=gob SECONDS=600"
	@echo "make browser  WebSocket, server-sent events and the example page in a browser"
	@echo "make deny     advisories, licences and sources of dependencies (needs cargo-deny)"
	@echo "make bench    storage benchmarks (ARGS=... are passed on)"
	@echo "make load     load against a running server (ARGS=... are passed on)"
	@echo "make live     sessions on a server of its own (ARGS=... are passed on: idle, arrival, group, storm, drain, reports)"
	@echo "make compare  side by side with other systems (ARGS=... are passed on)"

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

build: setup
	@$(STEP) "build (the first time takes a while: RocksDB is compiled)" $(CARGO) build --release --locked

run: build
	@exec $(PROGRAMS)/waybill serve --data $(DATA) $(ARGS)

fmt:
	@$(STEP) "format" $(CARGO) fmt --all --check

clippy: setup
	@$(STEP) "lints" $(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

# Always for the whole workspace, so that cargo selects the same features in every step and compiles nothing
# twice: RocksDB depends on what is selected.
build-all: setup
	@$(STEP) "build (the first time takes a while: RocksDB is compiled)" \
	    $(CARGO) build --release --locked --workspace --all-targets

# The whole-system tests start the built program, so it is built first.
unit: build-all
	@$(STEP) "tests of each crate" \
	    $(CARGO) test --quiet --release --locked --workspace --exclude waybill-tests
	@$(STEP) "quick whole-system tests" \
	    $(CARGO) test --quiet --release --locked --workspace $(addprefix --test ,$(QUICK_TESTS))

golden:
	@$(STEP) "formats, decoded by Python from the pages alone" python3 tests/golden/check.py

openapi: setup-test build-all openapi-check

# The program is built by then.
openapi-check:
	@$(STEP) "the OpenAPI page against the running program" $(PYTHON) tests/openapi/check.py \
	    --program $(PROGRAMS)/waybill $(ARGS)

# A client written from docs/protocol.md alone, over QUIC, WebSocket and server-sent events: make python-client ARGS="--only quic"
python-client-check:
	@$(STEP) "a client in Python, written from docs/protocol.md, against the program" \
	    $(PYTHONS)/python-client/bin/python tests/python-client/run.py --program $(PROGRAMS)/waybill $(ARGS)

python-client: setup-test build
	@$(MAKE) --no-print-directory python-client-check

# OpenIM's own SDKs, in a browser and in Node, against the built program: make openim-sdk ARGS="--only kick"
sdk:
	@cd tests/openim-sdk && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(STEP) "OpenIM's web SDK against the program" python3 tests/openim-sdk/run.py \
	    --program $(PROGRAMS)/waybill --artifacts $(PROGRAMS)/../openim-sdk $(ARGS)

openim-sdk: setup-test build
	@$(MAKE) --no-print-directory sdk

# The example page and pages of other origins, in a browser: make browser ARGS="--only looks"
browser-check:
	@$(STEP) "WebSocket, server-sent events and the example page in a browser" python3 tests/browser/run.py \
	    --program $(PROGRAMS)/waybill --artifacts $(PROGRAMS)/../browser $(ARGS)

browser: setup-test build
	@$(MAKE) --no-print-directory browser-check

check:
	@$(MAKE) --no-print-directory fmt clippy unit
	@printf '\nquick checks passed\n'

test: setup-test
	@$(MAKE) --no-print-directory fmt clippy build-all
	@$(STEP) "all tests" $(CARGO) test --quiet --release --locked --workspace --no-fail-fast
	@$(MAKE) --no-print-directory golden openapi-check python-client-check browser-check sdk
	@printf '\nevery check passed\n'

endure: setup-test
	@$(MAKE) --no-print-directory build-all
	@$(STEP) "$(KILLS) kills, $(CLIENT_KILLS) of a client, $(CUTS) power cuts, $(SESSIONS) sessions" env WAYBILL_KILLS=$(KILLS) \
	    WAYBILL_CLIENT_KILLS=$(CLIENT_KILLS) WAYBILL_POWER_CUTS=$(CUTS) WAYBILL_SESSIONS=$(SESSIONS) \
	    $(CARGO) test --release --locked --workspace --test kill --test client_kill --test power --test client_power \
	    --test sessions -- --nocapture

# The decoders are compiled once more, to count what they run through; what they depend on, RocksDB too, is not.
fuzz: setup
	@$(STEP) "build of the decoders that count" env RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/instrument.sh \
	    $(CARGO) build --release --locked --workspace --bin fuzz
	@$(STEP) "decoders, $(SECONDS) s each" python3 fuzz/run.py --program $(PROGRAMS)/fuzz --work $(PROGRAMS)/../fuzz \
	    --seconds $(SECONDS) $(TARGET)

deny:
	@command -v cargo-deny >/dev/null 2>&1 || { \
	    echo "cargo-deny is not installed: cargo install --locked cargo-deny" >&2; exit 1; }
	@$(STEP) "dependencies" cargo-deny --all-features check

bench: build-all
	@$(PROGRAMS)/storage $(ARGS)

load: build-all
	@$(PROGRAMS)/load $(ARGS)

live: build-all
	@$(PROGRAMS)/live $(ARGS)

compare: build-all
	@$(PROGRAMS)/compare $(ARGS)
