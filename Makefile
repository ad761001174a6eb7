# Both targets do all their own set-up on a machine with Python 3.11 and make.
#
#   make demo   from raw video to a found moment: renders the embedded
#               benchmark, preprocesses, trains, evaluates and draws
#   make test   linters, types, import contract and all tests
#
# `make demo SEED=1` trains from another seed, on the same data; JOBS=1 takes one
# step of it after the other, as on a machine of one core.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DEMO := runs/demo
SEED := 0
JOBS := 2
RAW := $(DEMO)/raw
RUN := $(DEMO)/seed_$(SEED)
MOMENTS := $(DEMO)/data/anet_captions/1.0.0
STILLS := $(DEMO)/data/slideshows/anet/1.0.0
# Programs compiled once are found again.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test raw stills moments towers retrieval figures

# Its steps; stage 1 learns from stills while the videos are preprocessed.
# Huge pages spare the kernel work that arrays make (docs/performance.md).
demo: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
demo: $(INSTALLED)
	$(MAKE) --no-print-directory -j $(JOBS) figures

raw: $(INSTALLED)
	$(BIN)/python -m data_preprocessing.synthetic --out $(RAW)

stills: raw
	$(BIN)/python -m data_preprocessing.build --dataset anet \
	  --annotations $(RAW)/annotations/slideshows \
	  --videos $(RAW)/slideshows --data_dir $(DEMO)/data/slideshows \
	  --frame_rate 1 --short_side 48

moments: raw
	$(BIN)/python -m data_preprocessing.build --dataset anet_captions \
	  --annotations $(RAW)/annotations/activitynet_captions \
	  --videos $(RAW)/videos --data_dir $(DEMO)/data \
	  --frame_rate 5 --short_side 48

towers: stills
	$(BIN)/python -m unloc_jax.main --config=configs/synthetic_towers.py \
	  --config.data.path=$(STILLS) --config.seed=$(SEED) \
	  --workdir=$(RUN)/towers

retrieval: moments towers
	$(BIN)/python -m unloc_jax.main --config=configs/synthetic_mr.py \
	  --config.data.path=$(MOMENTS) --config.seed=$(SEED) \
	  --config.init.weights=$(RUN)/towers/weights --workdir=$(RUN)/mr

figures: retrieval
	$(BIN)/python -m benchmarks.synthetic --workdir $(RUN)/mr

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.report --check
	$(BIN)/python -m pytest -n 2

# Installs once; again only when what is to be installed has changed.
$(INSTALLED): requirements.lock setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --editable .
	touch $@
