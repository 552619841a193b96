"""Variegate: turn a local language model into a diverse, correctly labelled, measured text data set."""

__version__ = "0.1.0"
