# make study    train, decode and tabulate the default study      make test    all quick tests
# make study-avsr   the same of audio-visual speech, on faces that are drawn
# make report   the report of the study     make regenerate   committed tables, verdicts and figures, from records
# make site     pages of all committed results, as files: site/index.html
# make cpu-results, speech-results, gpu-results   the runs whose results this repository keeps, for at most SECONDS
# make bench    what is claimed of speed, measured here
# make setup    the environment only                              make lint    what CI checks besides
# make test-slow  the long tests                                  make format  repairs the layout of the code
# make clean    removes what was trained and prepared; it first says what, and what stays
#
# Another study:  make study corpus=grid_s1 roots='{grid_s1: /data/grid_s1}'
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CORES ?= all
REPORT ?= results/report.html

# Settings of workflow/config/config.yaml that may be given to make, as they are given: the shell reads nothing in them.
quoted = '$(subst ','\'',$(value $1))'
SETTINGS := $(foreach key,study task scale corpus roots gpus seeds budget portable graphs deterministic,$(if $(value $(key)),$(key)=$(call quoted,$(key))))
CONFIG := $(if $(findstring =,$(SETTINGS)),--config $(SETTINGS))
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# A process for each core takes one file of tests after another: the tests of a file share what is costly to make.
PYTEST := $(BIN)/python -m pytest -n logical --dist loadfile
# What Snakemake says is shown where it fails.
QUIETLY := $(BIN)/python -m lrsms watch --quiet

.PHONY: setup study study-avsr report regenerate site cpu-results speech-results gpu-results bench test test-slow lint format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt bootstrap.py
	$(PYTHON) bootstrap.py .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

study: $(READY)
	$(BIN)/python -m lrsms watch $(SNAKEMAKE) --quiet rules reason host $(CONFIG)
	$(MAKE) --no-print-directory report
	$(QUIETLY) $(SNAKEMAKE) show --quiet progress rules reason host $(CONFIG)
	@echo 'report: $(REPORT)'

study-avsr:
	$(MAKE) study study=pair task=avsr

# The pages are of the runs that there are; nothing is trained for them.
report: $(READY)
	$(QUIETLY) $(SNAKEMAKE) pages --force --quiet progress rules reason host $(CONFIG)
	$(QUIETLY) $(SNAKEMAKE) all pages --report $(call quoted,REPORT) $(CONFIG)

regenerate: $(READY)
	$(QUIETLY) $(SNAKEMAKE) regenerate --quiet progress rules reason host $(CONFIG)

site: $(READY)
	$(BIN)/python -m lrsms site site

# Goes on where the last call ended. Then: make regenerate.
cpu-results speech-results gpu-results: $(READY)
	$(BIN)/python -m lrsms reference $(@:-results=) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(value roots),--roots $(call quoted,roots)) \
	  $(if $(PACK),--pack $(call quoted,PACK)) --snakemake --cores $(CORES) $(if $(filter gpu-%,$@),--profile workflow/profiles/packed)

bench: $(READY)
	$(BIN)/python -m benchmarks

test: $(READY)
	$(PYTEST) -m 'not slow'

test-slow: $(READY)
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt workflow

# Says what it removes, and what stays, before it does. What was trained cannot be decoded again without its weights.
HEAVY := results/runs results/corpora results/logs .snakemake
clean:
	@echo 'This removes:'
	@for folder in $(HEAVY); do if [ -e $$folder ]; then du -shD $$folder; else echo "0	$$folder (not there)"; fi; done
	@echo "Among it are the weights of $$(find -H results/runs -name weights.safetensors 2>/dev/null | wc -l) runs:" \
	  'without them a new test condition, decoder or export trains its run again.'
	@echo 'These stay: results/records, results/steptime, tables and verdicts (results/*/), figures.'
	for folder in $(HEAVY); do if [ -L $$folder ]; then find -H $$folder -mindepth 1 -delete; else rm -rf $$folder; fi; done
