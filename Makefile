# What a person needs: Go, make. The servers that the tests run against are built
# from pinned sources on first use (bench/tools), outside this folder.

GO        ?= go
# Releases and the image are built without C, so that is what is built and tested here; a
# binary with C takes a second linker, too. Only the race detector needs it.
WITHOUT_C := CGO_ENABLED=0 $(GO)
BIN       := bin/reseal
# What runs goroutines over shared state, and is worth the race detector's time. Of the
# planner, csvline, doctor, iceberg and keylist start none.
RACE      ?= ./bench/tools ./checkpoint/... ./planner ./planner/inventory ./planner/listing ./planner/manifest ./engine ./engine/folder ./engine/ledger ./engine/livepage ./engine/pace ./engine/report ./engine/s3store ./engine/s3test ./engine/wire
SEEDS     ?= 500
FUZZTIME  ?= 1m
BENCH     ?=
TESTFLAGS ?=

.PHONY: all build demo test debian test-plain test-race test-stores test-ceph20 test-kubernetes servers peers lint bench soak soak-processes soak-planted fuzz clean

all: build

build:
	$(WITHOUT_C) build -o $(BIN) ./cmd/reseal

demo: build
	$(BIN) demo

# Both rounds at once: the tests that start processes wait more than they work.
test: debian
	@$(MAKE) -j2 test-plain test-race

# What some tests judge by comes from Debian's packages, which .ci/run installs. A
# machine without them runs the rest.
debian:
	@command -v openssl >/dev/null || echo "openssl is missing: no test checks evidence with it; apt-get install openssl"
	@ruby -e "require 'aws-sdk-s3'; require 'aws-sdk-kms'" 2>/dev/null || \
		echo "Ruby's S3 client is missing: nothing judges client-side encryption; apt-get install ruby ruby-aws-sdk-s3 ruby-aws-sdk-kms"
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		echo "chromium is missing: nobody judges the pages; apt-get install --no-install-recommends chromium"

# A machine's own certificates, which every connection of a test would read, say nothing
# to servers on loopback.
unexport AWS_CA_BUNDLE

# The longest come first: what waits in one then has the others to wait beside.
FIRST     := ./cmd/reseal ./engine/job ./engine/cse ./engine/s3store/canary
# -timeout is for one package; the slowest start real servers and kill real
# processes. Garbage is collected seldom, since a test lives for a moment; what judges
# memory counts what was allocated, collects first, or sets its own.
test-plain: servers
	GOGC=$${GOGC:-400} $(WITHOUT_C) test -timeout 40m $(TESTFLAGS) $(FIRST) ./...

# -short asks for fewer seeds and objects; test-plain has them all, and has vetted the
# packages. The race detector needs a C compiler, which a machine with only Go lacks.
# Garbage is collected seldom: to mark it is what the detector makes dearest.
SELDOM    := GOGC=$${GOGC:-400} GOMEMLIMIT=$${GOMEMLIMIT:-1500MiB}
test-race: servers
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ]; then \
		echo "$(GO) test -race -short -vet=off -timeout 40m $(TESTFLAGS) $(RACE)"; \
		$(SELDOM) $(GO) test -race -short -vet=off -timeout 40m $(TESTFLAGS) $(RACE); \
	else \
		echo "no C compiler here: the race detector does not run"; \
	fi

# Against Ceph's gateway (Debian's packages) and SeaweedFS (built once). These tests
# have a build tag of their own, so that `make test` needs neither; here nothing is
# skipped.
STORES    := ./engine/s3test/realserver ./engine/s3store/canary ./cmd/reseal
test-stores:
	@for program in radosgw ceph-mon ceph-osd ceph; do command -v $$program >/dev/null || { \
		echo "$$program is missing: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"; exit 1; }; done
	$(GO) run ./bench/tools/cmd/prebuild seaweedfs iceberg
	$(WITHOUT_C) vet -tags stores $(STORES)
	$(WITHOUT_C) test -tags stores -count=1 -p 1 -timeout 15m -run '^TestStores' $(TESTFLAGS) $(STORES)

# The same against Ceph 20, of what Debian tests for its next release: a Debian of its own is put into
# CEPH_ROOT, once. That takes root's rights and debootstrap, so CI does not do it; what was
# seen is played by s3test's profile in all other tests.
CEPH_ROOT ?= /var/cache/reseal-ceph20
test-ceph20:
	@command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap"; exit 1; }
	bench/tools/debian-of-its-own $(CEPH_ROOT) testing radosgw ceph-mon ceph-osd ceph-common
	CEPH_ROOT=$(CEPH_ROOT) $(WITHOUT_C) test -tags "stores ceph20" -count=1 -p 1 -timeout 15m -run '^TestStores.*/Ceph20' $(TESTFLAGS) ./engine/s3store/canary ./cmd/reseal

# On the control plane of Kubernetes (built once, which takes long): the real scheduler and
# the real controllers drive pods that are processes of this machine. A build tag of their
# own keeps these tests out of `make test`; here nothing is skipped.
test-kubernetes:
	$(GO) run ./bench/tools/cmd/prebuild minio kubernetes
	$(WITHOUT_C) vet -tags kubernetes ./cmd/reseal
	$(WITHOUT_C) test -tags kubernetes -count=1 -timeout 20m -run '^TestControlPlane' $(TESTFLAGS) ./cmd/reseal

# The real servers, built before the tests so that no test waits for a compiler.
servers:
	$(GO) run ./bench/tools/cmd/prebuild minio kes s3ec

# What the benchmarks compare with.
peers:
	$(GO) run ./bench/tools/cmd/prebuild s5cmd rclone mc

lint:
	@files=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$files" ]; then echo "not gofmt-ed:"; echo "$$files"; exit 1; fi
	$(WITHOUT_C) vet ./...
	$(WITHOUT_C) tool staticcheck ./...
	$(GO) mod tidy -diff

# BENCH names one of its parts and its flags; without it, what takes minutes.
bench: servers
	$(GO) run ./bench $(BENCH)

# SEEDS nights of a job in virtual time, on one core (engine/job/sim).
soak:
	RESEAL_SOAK_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 24h -v -run SoakNights ./engine/job/sim

# The same for real processes, files and kills, which takes a second or more for each of
# the SEEDS: the metamorphic runs, the fault matrix, damaged checkpoints.
soak-processes: servers
	RESEAL_SOAK_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 24h -v -run 'Matrix|Metamorphic|Damage' ./checkpoint ./engine/s3store/canary ./cmd/reseal

# Faults, each breaking one promise, planted in turn: the nights must find each.
soak-planted:
	RESEAL_PLANTED=1 $(GO) test -count=1 -timeout 4h -v -run Planted ./engine/job/sim

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
