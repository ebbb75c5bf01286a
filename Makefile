# `make run` shows Keyweave at work, `make test` proves it; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test deps test-deps host build build-tests demo fuzz asan lint format check-loop perf perf-build perf-thresholds perf-compare clean

SWIFT ?= swift
# One release build serves run and test: with testable imports off, the tests add their own files and rebuild nothing.
BUILD := $(SWIFT) build -c release
TEST := $(SWIFT) test -c release --disable-testable-imports --disable-xctest --skip-build
SOURCES := Package.swift Sources Tests perf
SECONDS_PER_FUZZ_TARGET ?= 600
PERF ?=

help: ## list these targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: deps build demo ## install what is missing, build, run the demo

test: test-deps build-tests ## build and run every test
	@.ci/test $(TEST)

deps: host ## install the Debian packages that building and the demo need
	@.ci/deps run

test-deps: host
	@.ci/deps test

host:
	@.ci/host

build: host ## build .build/release/keyweave
	$(BUILD) --product keyweave

build-tests: host
	$(BUILD) --build-tests

demo:
	.build/release/keyweave demo

fuzz: host ## fuzz every parser, ten minutes each (SECONDS_PER_FUZZ_TARGET=600)
	@.ci/fuzz $(SECONDS_PER_FUZZ_TARGET)

asan: host ## run the unit tests under AddressSanitizer
	@.ci/asan

lint: ## check the format of every Swift file
	$(SWIFT) format lint --strict --recursive $(SOURCES)

format: ## mend the format of every Swift file
	$(SWIFT) format --in-place --recursive $(SOURCES)

check-loop: build ## show that the lcore loop neither counts references nor allocates
	@.ci/check-loop --self-test .build/release/keyweave

perf-build: host
	KEYWEAVE_FLOOR=1 $(BUILD) --package-path perf --product keyweave-perf

perf: perf-build ## measure the engines and the loop, in multiples of raw AES-GCM (PERF=ARGUMENTS; docs/perf.md)
	perf/.build/release/keyweave-perf $(PERF)

perf-thresholds: perf-build ## count instructions and write perf/Thresholds, when a change of them is right
	perf/.build/release/keyweave-perf thresholds

perf-compare: host ## measure this tree and another commit in turns (BASE=COMMIT PERF=SECTIONS)
	@perf/compare $(BASE) $(PERF)

clean: ## remove everything that was built
	rm -rf .build .build-asan Tests/Fuzz/.build perf/.build out
