"""Nearest neighbours and sums over pairs of vectors: exact on CPU and GPU, with our kernels or FAISS, and FAISS's inexact index.

Knows tensors; knows nothing of records, encoders or what a distance is used for.
"""

from variegate.neighbors.exact import GPU_FROM, Neighbors, centred, nearest_in, nearest_in_others, nearest_other, top_k
from variegate.neighbors.faiss_search import has_faiss
from variegate.neighbors.inverted import InvertedIndex

__all__ = ["GPU_FROM", "InvertedIndex", "Neighbors", "centred", "has_faiss", "nearest_in", "nearest_in_others", "nearest_other", "top_k"]
