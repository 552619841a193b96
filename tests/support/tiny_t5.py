"""A random T5 of about a million parameters, written as Transformers 4 and the hub write one.

Its weights are large enough that greedy tokens are far apart, and its outputs depend on the relative position bias; the
encoder is shallower than the decoder, and the attention's inner width is not the model's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

VOCABULARY = 1000  # width of the logits; the tokenizer has fewer, as T5's own
SYLLABLES = [
    "ar",
    "be",
    "co",
    "di",
    "en",
    "fa",
    "go",
    "hi",
    "in",
    "ka",
    "lo",
    "mu",
    "ne",
    "or",
    "pa",
    "qui",
    "ra",
    "so",
    "ti",
    "un",
    "ve",
    "wo",
    "ex",
    "yo",
    "ze",
]


def make_tiny_t5(folder: Path, *, gated: bool = True, tied: bool = False, seed: int = 0, **config: Any) -> Path:
    """gated: GELU gate (v1.1 and FLAN) or ReLU (v1.0). tied: no head of its own. config: more of config.json."""
    folder.mkdir(parents=True)
    generation = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    settings = {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True, "use_cache": True,
        "vocab_size": VOCABULARY, "d_model": 96, "d_kv": 32, "num_heads": 4, "d_ff": 192, "num_layers": 2, "num_decoder_layers": 3,
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "n_positions": 512,
        "feed_forward_proj": "gated-gelu" if gated else "relu", "dropout_rate": 0.1, "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0, "tie_word_embeddings": tied, "torch_dtype": "float32", **generation, **config,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps(generation))
    network = T5ForConditionalGeneration(T5Config.from_pretrained(folder))
    weights = {name: random_like(name, weight, tied, seed + place) for place, (name, weight) in enumerate(network.named_parameters())}
    if not tied:  # this version of Transformers makes no T5 with a head of its own; it loads one
        weights["lm_head.weight"] = torch.randn(weights["shared.weight"].shape, generator=torch.Generator().manual_seed(seed - 1))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    make_tokenizer().save_pretrained(folder)
    return folder


def random_like(name: str, weight: torch.Tensor, tied: bool, seed: int) -> torch.Tensor:
    """Projections keep the size of what they take in; queries and keys make attention peaked."""
    normal = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    if "layer_norm" in name:
        return (1 + 0.2 * normal) * (10 if tied and name == "decoder.final_layer_norm.weight" else 1)  # a tied head is scaled down
    if "relative_attention_bias" in name:
        return 3 * normal
    if name == "shared.weight":
        return normal * (0.15 if tied else 1.0)
    return normal * weight.shape[-1] ** -0.5 * {"q": 0.2, "k": 0.4}.get(name.split(".")[-2], 1.0)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, with T5's special tokens in T5's places, and `</s>` after a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 10, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([" ".join(first + second for second in SYLLABLES) for first in SYLLABLES], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
