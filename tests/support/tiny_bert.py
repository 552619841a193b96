"""A tiny BERT with random weights, and texts for it. Imported by tests and by the processes they start."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

WORDS = [
    "the",
    "a",
    "red",
    "blue",
    "old",
    "young",
    "cat",
    "dog",
    "bird",
    "house",
    "river",
    "sings",
    "runs",
    "sleeps",
    "quickly",
    "never",
    "again",
    "in",
    "under",
    "over",
    "and",
    "not",
]


def make_texts(count: int, seed: int = 0) -> list[str]:
    """Distinct texts of one to thirty words that the tiny BERT knows."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[" ".join(rng.choices(WORDS, k=rng.randint(1, 30)))] = None
    return list(texts)


def write_bert(folder: Path, *, seed: int = 0, padding_side: str = "right", words: Sequence[str] = WORDS) -> Path:
    """A plain Transformers folder: safetensors, a word-level tokenizer that knows `words`, no word of sentence embeddings."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = transformers.BertTokenizer(
        vocab={word: index for index, word in enumerate(vocabulary)}, model_max_length=24, padding_side=padding_side
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    # weights large enough for texts to come out different
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=24, initializer_range=0.6,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder
