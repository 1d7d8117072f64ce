# What a person needs: Go, make. The servers that the tests run against are built
# from pinned sources on first use (bench/tools), outside this folder.

GO        ?= go
BIN       := bin/reseal
# What runs goroutines over shared state, and is worth the race detector's time.
RACE      ?= ./bench/tools ./checkpoint/... ./planner/... ./engine ./engine/pace ./engine/report ./engine/s3store ./engine/s3test ./engine/wire
SEEDS     ?= 500
FUZZTIME  ?= 1m
BENCH     ?=
TESTFLAGS ?=

.PHONY: all build demo test test-plain test-race servers peers lint bench soak fuzz clean

all: build

build:
	$(GO) build -o $(BIN) ./cmd/reseal

demo: build
	$(BIN) demo

test: test-plain test-race

# -timeout is for one package; the slowest start real servers and kill real
# processes.
test-plain: servers
	$(GO) test -timeout 40m $(TESTFLAGS) ./...

# -short asks for fewer seeds and objects; the round before has had them all. The
# race detector needs a C compiler, which a machine with only Go lacks.
test-race: servers
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ]; then \
		echo "$(GO) test -race -short -timeout 40m $(TESTFLAGS) $(RACE)"; \
		$(GO) test -race -short -timeout 40m $(TESTFLAGS) $(RACE); \
	else \
		echo "no C compiler here: the race detector does not run"; \
	fi

# The real servers, built before the tests so that no test waits for a compiler.
servers:
	$(GO) run ./bench/tools/cmd/prebuild minio kes

# What the benchmarks compare with.
peers:
	$(GO) run ./bench/tools/cmd/prebuild s5cmd rclone mc

lint:
	@files=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$files" ]; then echo "not gofmt-ed:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# BENCH names one of its parts and its flags; without it, what takes minutes.
bench: servers
	$(GO) run ./bench $(BENCH)

# The fault matrix and the metamorphic runs with many seeds, for a night.
soak: servers
	RESEAL_SOAK_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 24h -v -run 'Matrix|Metamorphic|Soak' ./engine/... ./checkpoint/... ./cmd/reseal

# Every fuzz test for FUZZTIME. Minimizing what is merely interesting would take
# FuzzParquet all of it.
fuzz:
	@$(GO) list ./... | while read pkg; do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg || exit 1; \
		done; \
	done

clean:
	rm -rf bin
