"""Texts and an encoder that need no download: phrases of bundled labels, BERT-base's shape with random weights."""

from __future__ import annotations

import random
from pathlib import Path

from variegate.config import load_task


def make_texts(count: int) -> tuple[list[str], list[str]]:
    """Distinct texts of 5 to 40 words, and their labels: five, which the texts' words tell."""
    rng = random.Random(0)
    phrases = [label.phrase for label in load_task("clinc150").labels.values()]
    labels = ["first", "second", "third", "fourth", "fifth"]
    texts, given = [], []
    for number in range(count):
        label = number % len(labels)
        own = phrases[label::5]
        texts.append(f"{number} " + " and ".join(rng.choice(own) for _ in range(rng.randint(2, 12))))
        given.append(labels[label])
    return texts, given


def write_encoder(folder: Path, *, small: bool) -> Path:
    """BERT-base's shape (small: a tenth of it) with random weights, and a tokenizer of whole words."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=2000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.train_from_iterator(make_texts(2000)[0], trainer)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128} if small else {}
    transformers.BertModel(transformers.BertConfig(**shape)).save_pretrained(folder)
    return folder
