"""Installs unloc_jax; exact versions the tests ran with: requirements.lock."""

import pathlib

import setuptools

_JAX = "jax>=0.10.2,<0.11"

setuptools.setup(
  name="unloc_jax",
  version="0.1.0",
  description="UnLoc in JAX: finding moments in untrimmed videos from language",
  long_description=pathlib.Path("README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=setuptools.find_packages(
    include=["unloc_jax*", "configs*", "data_preprocessing*"]
  ),
  package_data={
    "data_preprocessing": ["sounds/*.txt"],
    "unloc_jax": [
      "annotations/*.json",
      "annotations/class_data/*",
      "data/assets/*",
      "plan/*.txtpb",
    ],
  },
  install_requires=[
    "absl-py",
    "clu>=0.0.12",
    "etils[epath]",
    "flax>=0.12.8",
    _JAX,
    "matplotlib>=3.9",
    "ml_collections>=1.1",
    "numpy>=2.0",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pebble>=5.2",
    "psutil>=7",
    "safetensors>=0.5",
    "scipy",
    "tensorboard>=2.21",  # clu needs it and TensorFlow no longer brings it.
    "tensorflow-cpu>=2.21,<2.22; platform_machine == 'x86_64'",
    "tensorflow>=2.21,<2.22; platform_machine != 'x86_64'",
    "tensorflow-datasets>=4.9.10",
    "tokenizers>=0.21",
    "tqdm",
  ],
  extras_require={
    "cuda12": [_JAX.replace("jax", "jax[cuda12]", 1)],
    # Lets JAX find the processes of a job on Kubernetes without TPUs.
    "k8s": [_JAX.replace("jax", "jax[k8s]", 1)],
    "tpu": [_JAX.replace("jax", "jax[tpu]", 1)],
    "data": [
      "ai-edge-litert>=2.1",
      "apache-beam>=2.77",
      "av>=17",
      "h5py",
      "pillow",
    ],
    # Compilers of python -m unloc_jax.plan for devices that are not there.
    "plan": [
      _JAX.replace("jax", "jax[tpu]", 1),
      "jax-cuda12-plugin>=0.10.2,<0.11",
      "jax-cuda12-pjrt>=0.10.2,<0.11",
    ],
    "demo": ["gradio>=6.31"],
    "test": [
      "gradio>=6.31",
      "hypothesis",
      "import-linter",
      "mypy",
      "pillow",
      "playwright",
      "pytest>=8",
      "pytest-xdist",
      "ruff",
    ],
  },
)
