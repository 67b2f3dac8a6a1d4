# Entry points for people and CI. Each says which packages are missing, configures and does one thing; the build itself
# is CMake's, see CMakePresets.json. Only `make deps` installs packages.
PRESET ?= release
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR
JOBS   ?= $(shell nproc)
STORM  ?= 180
export STORM
BUILD   = build/$(PRESET)

CONFIGURE = cmake --preset $(PRESET) --log-level=WARNING >/dev/null
COMPILE   = cmake --build --preset $(PRESET)

# One goal after another, as in `make deps demo`; CMake and CTest run jobs in parallel themselves.
.NOTPARALLEL:
.PHONY: help deps demo test build examples man lint sanitize coverage test-all test-long crash-test soak storm fuzz bench \
        bench-docs install uninstall clean

help:
	@echo 'make deps      install the Debian packages that build, examples and tests need; FOR="lint bench" those of others'
	@echo 'make demo      build, and count the words of this machine with the example wordcount'
	@echo 'make test      build, and run every test but those that take long'
	@echo 'make test-all  the same, and then what takes long: storms, large models; STORM=180 is the seconds of a storm'
	@echo 'make test-long  only what takes long'
	@echo 'make build     build the libraries, the examples and the tests into $(BUILD)'
	@echo 'make examples  build the examples into $(BUILD)/examples'
	@echo 'make man       make a man page of each public function and header; PRESET=release: in build/release/man'
	@echo 'make lint      check format, warnings, headers, exported symbols, ABI and man pages'
	@echo 'make sanitize  run every test under ASan, LSan and UBSan, then under TSan'
	@echo 'make coverage  run the tests, and print which lines and branches of each folder of src they reach'
	@echo 'make crash-test  kill processes at every instruction of every operation, and count what breaks (20 min)'
	@echo 'make soak SECONDS=60  work under random SIGKILL and SIGSTOP, and check the books; SEED=n RATE=n'
	@echo 'make storm RUNS=100  kill one of several workers, with mproc and with CPython, and count who hangs'
	@echo 'make fuzz SECONDS=60  feed what reads bytes with bytes that nobody thought of; needs clang'
	@echo 'make bench     build and run the measurements, and draw them; BENCH=quick takes less time'
	@echo 'make bench-docs  put the last measurements into docs/benchmarks.md, and the pictures beside it'
	@echo 'make install   install into $$(DESTDIR)$$(PREFIX), by default /usr/local'
	@echo 'make uninstall  remove what make install puts there'
	@echo 'make clean     remove everything that was built'
	@echo 'PRESET=release, debug, clang, asan, tsan, coverage or faults chooses the build.'

deps:
	@scripts/deps install $(or $(FOR),examples test)

demo:
	@scripts/deps check build
	$(CONFIGURE)
	$(COMPILE) --target examples_wordcount
	@scripts/demo $(BUILD)/examples/wordcount

build:
	@scripts/deps check test
	$(CONFIGURE)
	$(COMPILE)

# Most tests sleep most of their time.
test: build
	ctest --preset $(PRESET) -j $$((3 * $(JOBS)))

test-long: build
	ctest --preset $(PRESET) -C All -L long -j $(JOBS)

test-all: test
	$(MAKE) --no-print-directory test-long

examples:
	@scripts/deps check examples
	$(CONFIGURE)
	$(COMPILE) --target examples

man:
	@scripts/deps check install
	$(CONFIGURE)
	$(COMPILE) --target man

lint:
	@scripts/deps check lint
	@scripts/lint

sanitize:
	@scripts/deps check test
	@scripts/sanitize $(JOBS)

# What the guard counts and the crash tests step through is another program with counters in it. A test that looks at the
# program's own code, calls or time may fail for them: whether tests pass, `make test` says.
coverage:
	@scripts/deps check coverage
	cmake --preset coverage --log-level=WARNING >/dev/null
	cmake --build --preset coverage
	find build/coverage -name '*.gcda' -delete
	-ctest --preset coverage -j $(JOBS) -LE 'crash|guard|bench|compile|install|model' --quiet
	@scripts/coverage build/coverage

crash-test: build
	$(BUILD)/test/crash/crash

soak:
	@scripts/deps check test
	$(CONFIGURE)
	$(COMPILE) --target soak
	$(BUILD)/test/soak/soak seconds=$(or $(SECONDS),60) $(and $(SEED),seed=$(SEED)) $(and $(RATE),rate=$(RATE))

bench:
	@scripts/deps check bench
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target bench
	@scripts/bench build/release

bench-docs:
	@scripts/bench-report --docs

storm:
	@scripts/deps check bench
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target bench_storm
	@scripts/storm build/release $(or $(RUNS),100)

fuzz:
	@scripts/deps check lint
	cmake --preset clang --log-level=WARNING >/dev/null
	cmake --build --preset clang --target fuzz
	@scripts/fuzz build/clang $(or $(SECONDS),60)

install:
	@scripts/deps check install
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target mproc mproc_static man
	@scripts/install build/release

uninstall:
	@scripts/deps check install
	cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target mproc mproc_static man
	@scripts/install --remove build/release

clean:
	rm -rf build
