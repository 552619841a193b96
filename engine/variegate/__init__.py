"""Variegate: turn a local language model into a diverse, correctly labelled, measured text data set."""

import os

# Asking whether there is a GPU would otherwise initialise CUDA, which then fails in every process forked from this one.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

__version__ = "0.1.0"
