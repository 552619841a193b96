"""Measures of a set of texts or vectors: diversity, similarity to a reference, lexical variety."""
