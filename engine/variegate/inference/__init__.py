"""Inference: one protocol (`backend.py`), vLLM as the engine, Transformers for comparison."""
