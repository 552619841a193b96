"""Fused tensor operations, each beside the reference that defines it. Torch and Triton only; knows nothing of Variegate.

Triton is imported when a kernel is first launched, so the package imports without it.
"""
