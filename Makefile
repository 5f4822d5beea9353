# tiebreak: the front door.  Everything behind it is Meson and Ninja.
#
#   make reproduce   install what is missing, build, run the papers' claims at quick size, write report.html
#   make test        install what is missing, build, run every test
#   make build       only build                    make bench     our workloads beside PyTorch and JAX
#   make check       compilers, sanitizers, layout make install   PREFIX=/usr/local

BUILD    ?= build
PREFIX   ?= /usr/local
ARGUMENTS ?=
PACKAGES  = sh tools/packages

.PHONY: reproduce test build bench check install format clean

reproduce: build
	$(BUILD)/tiebreak reproduce $(ARGUMENTS)

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD) tiebreak

$(BUILD)/build.ninja: meson.build tools/packages
	@$(PACKAGES) build
	@test -f $@ || meson setup $(BUILD) --prefix $(PREFIX)
	@touch $@

test:
	@$(PACKAGES) build test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@python3 tools/test $(BUILD)

check:
	@$(PACKAGES) build test check
	@sh tools/check

bench: build
	@$(PACKAGES) bench
	@sh bench/run $(BUILD)

install: build
	@meson install -C $(BUILD) --no-rebuild

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) build-*
