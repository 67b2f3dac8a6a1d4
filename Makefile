# Entry points for people and CI. Each installs what it needs (Debian), configures and does one thing; the build itself
# is CMake's, see CMakePresets.json.
PRESET ?= release
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR
JOBS   ?= $(shell nproc)
BUILD   = build/$(PRESET)

CONFIGURE = cmake --preset $(PRESET) --log-level=WARNING >/dev/null
COMPILE   = cmake --build --preset $(PRESET)

.PHONY: help demo test build examples lint sanitize test-all crash-test soak storm fuzz bench bench-docs install uninstall clean

help:
	@echo 'make demo      build, and count the words of this machine with the example wordcount'
	@echo 'make test      build, and run every test'
	@echo 'make test-all  the same, and what takes long: storms of ten minutes, large models (an hour)'
	@echo 'make build     build the libraries, the examples and the tests into $(BUILD)'
	@echo 'make examples  build the examples into $(BUILD)/examples'
	@echo 'make lint      check format, warnings, headers and exported symbols'
	@echo 'make sanitize  run every test under ASan, LSan and UBSan, then under TSan'
	@echo 'make crash-test  kill processes at every instruction of every operation, and count what breaks (20 min)'
	@echo 'make soak SECONDS=60  work under random SIGKILL and SIGSTOP, and check the books; SEED=n RATE=n'
	@echo 'make storm RUNS=100  kill one of several workers, with mproc and with CPython, and count who hangs'
	@echo 'make fuzz SECONDS=60  feed what reads bytes with bytes that nobody thought of; needs clang'
	@echo 'make bench     build and run the measurements, and draw them; BENCH=quick takes less time'
	@echo 'make bench-docs  put the last measurements into docs/benchmarks.md, and the pictures beside it'
	@echo 'make install   install into $$(DESTDIR)$$(PREFIX), by default /usr/local'
	@echo 'make uninstall  remove what make install puts there'
	@echo 'make clean     remove everything that was built'
	@echo 'PRESET=release, debug, clang, asan, tsan or faults chooses the build.'

demo:
	@scripts/install-deps build
	$(CONFIGURE)
	$(COMPILE) --target examples_wordcount
	@scripts/demo $(BUILD)/examples/wordcount

build:
	@scripts/install-deps test
	$(CONFIGURE)
	$(COMPILE)

test: build
	ctest --preset $(PRESET) -j $(JOBS)

test-all: build
	ctest --preset $(PRESET) -C All -j $(JOBS)

examples:
	@scripts/install-deps examples
	$(CONFIGURE)
	$(COMPILE) --target examples

lint:
	@scripts/install-deps lint
	@scripts/lint

sanitize:
	@scripts/install-deps test
	@scripts/sanitize $(JOBS)

crash-test: build
	$(BUILD)/test/crash/crash

soak:
	@scripts/install-deps test
	$(CONFIGURE)
	$(COMPILE) --target soak
	$(BUILD)/test/soak/soak seconds=$(or $(SECONDS),60) $(and $(SEED),seed=$(SEED)) $(and $(RATE),rate=$(RATE))

bench:
	@scripts/install-deps bench
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target bench
	@scripts/bench build/release

bench-docs:
	@scripts/bench-report --docs

storm:
	@scripts/install-deps bench
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target bench_storm
	@scripts/storm build/release $(or $(RUNS),100)

fuzz:
	@scripts/install-deps lint
	cmake --preset clang --log-level=WARNING >/dev/null
	cmake --build --preset clang --target fuzz
	@scripts/fuzz build/clang $(or $(SECONDS),60)

install:
	@scripts/install-deps build
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target mproc mproc_static
	@scripts/install build/release

uninstall:
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target mproc mproc_static
	@scripts/install --remove build/release

clean:
	rm -rf build
