# Starling's everyday commands. The first one builds.
GO          ?= go
FUZZTIME    ?= 30s
BENCHTIME   ?= 0.5s
BENCHCOUNT  ?= 6
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# Packages without a real client or server of its own to wait for: what -race is for.
INNER = $(shell $(GO) list ./... | grep -v -e /e2e -e /bench)

.PHONY: build run demo demo-postgres test packages vet unit race fuzz bench bench-compare bench-nodes screenshot lint check

build:
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/imapd

# Builds and starts a server to try: its folder is data/, everything else is printed.
run: build
	./bin/imapd serve --quickstart

# Three nodes of a cluster in one process, and a probe that shows how soon each tells what
# is changed on another. Ctrl-C ends it and leaves nothing.
demo: build
	./bin/imapd demo

# The same with three processes over a PostgreSQL server of their own (Debian: postgresql).
demo-postgres: build
	$(GO) build -o bin/ ./e2e/demo
	./bin/demo -imapd bin/imapd

# Everything, with real clients. Installs Debian packages that are missing (as root).
test: packages vet unit race

packages:
	scripts/install-test-packages

vet:
	$(GO) vet ./...

unit:
	STARLING_E2E=1 $(GO) test -timeout 20m ./...

race:
	$(GO) test -race -timeout 20m $(INNER)

# Each fuzz target in turn, FUZZTIME each.
fuzz:
	@set -e; for package in $(INNER); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# Go benchmarks, in the form that benchstat reads.
bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) $(INNER)

# Starling and Debian's Dovecot side by side; flags by ARGS (see bench/compare -h).
bench-compare: build
	$(GO) run ./bench/compare -imapd bin/imapd $(ARGS)

# What a change takes to reach clients of other nodes: three processes over a PostgreSQL of their own; flags by ARGS.
bench-nodes: build
	$(GO) run ./bench/nodes -imapd bin/imapd $(ARGS)

# The picture of Thunderbird in the README.
screenshot: build packages
	STARLING_E2E=1 STARLING_SCREENSHOT=$(CURDIR)/docs/thunderbird.png $(GO) test -count 1 -run 'TestThunderbird/screenshot' ./e2e

lint:
	$(GO) run $(STATICCHECK) ./...

# What a change must pass besides the tests.
check: vet lint
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) test -run 'TestLayers|TestNoSleep' .
