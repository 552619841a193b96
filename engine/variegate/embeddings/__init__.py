"""Texts to vectors: an encoder chosen by name, and a cache on disk so that no text is encoded twice. Measures nothing."""

from variegate.embeddings.cache import default_cache
from variegate.embeddings.encoder import Embeddings, Encoder
from variegate.embeddings.models import DEFAULT_MODEL

__all__ = ["DEFAULT_MODEL", "Embeddings", "Encoder", "default_cache"]
