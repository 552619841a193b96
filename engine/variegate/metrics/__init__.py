"""Measures of a set of texts or vectors: diversity, similarity to a reference, lexical variety.

    from variegate.metrics import remote_clique, chamfer, diversity, top_k_similarity, cross_distance

Vector measures take numpy arrays or torch tensors "n d", on the CPU or a GPU; text measures take sequences of strings. All
return a `MetricValue`, which says how the number was made. `variegate measure` does the same for files.
"""

from variegate.metrics.diversity import Diversity, chamfer, diversity, remote_clique
from variegate.metrics.similarity import NearestReference, coverage, cross_distance, leakage_near, nearest_reference, top_k_similarity
from variegate.metrics.values import MetricValue

__all__ = [
    "Diversity",
    "MetricValue",
    "NearestReference",
    "chamfer",
    "coverage",
    "cross_distance",
    "diversity",
    "leakage_near",
    "nearest_reference",
    "remote_clique",
    "top_k_similarity",
]
