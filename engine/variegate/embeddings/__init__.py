"""Texts to vectors: an encoder chosen by name, and a cache on disk so that no text is encoded twice. Measures nothing."""

from variegate.embeddings.encoder import Encoder
from variegate.embeddings.location import default_cache
from variegate.embeddings.models import DEFAULT_MODEL
from variegate.embeddings.result import Embeddings

__all__ = ["DEFAULT_MODEL", "Embeddings", "Encoder", "default_cache"]
