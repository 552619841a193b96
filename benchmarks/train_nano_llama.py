"""Train nano-llama, the 4 M-parameter Llama that travels with Variegate, from public CC-BY data.

    python benchmarks/train_nano_llama.py --data DATA --output engine/variegate/assets/nano-llama

DATA holds clinc150, banking77, hwu64 and sms_spam as JSONL. Only their train splits are read. Every document is one of
Variegate's own prompt templates with its answer; the loss is on answers alone. One run takes about an hour on 2 cores.
"""

from __future__ import annotations

import random

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nano_documents import TASKS, Piece, Row, make_document, read_corpus, train_tokenizer
from nano_training import arguments, train

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def encode(documents: list[list[Piece]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Row]:
    """(input ids, labels) of each document; labels are -100 on prompts."""
    pieces = [text for document in documents for text, _ in document]
    encoded = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    rows = []
    for document in documents:
        ids, labels = [tokenizer.bos_token_id], [-100]
        for _, learnt in document:
            piece = next(encoded)
            ids += piece
            labels += piece if learnt else [-100] * len(piece)
        ids.append(tokenizer.eos_token_id)
        labels.append(tokenizer.eos_token_id)
        if len(ids) <= max_length:
            rows.append((ids, labels))
    return rows


def collate(batch: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [2] * (width - len(row)) for row, _ in batch])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in batch])
    return ids, labels


def loss_of(model: LlamaForCausalLM, batch: list[Row]) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy and its number of tokens; the head runs only where there is a label (it is a quarter of the work)."""
    ids, labels = collate(batch)
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]  # padding is on the right: causal attention never sees it
    wanted = labels[:, 1:]
    mask = wanted != -100
    logits = model.lm_head(hidden[mask]).float()
    return torch.nn.functional.cross_entropy(logits, wanted[mask], reduction="sum"), int(mask.sum())


def main() -> None:
    args = arguments(__doc__, epochs=5, learning_rate=2e-3)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    utterances = read_corpus(args.data)
    print(f"{len(utterances)} utterances of {len(TASKS)} tasks", flush=True)

    def documents() -> list[list[Piece]]:
        return [make_document(*each, rng) for each in utterances]

    first = documents()
    tokenizer = train_tokenizer(first, vocab_size=4096, special=SPECIAL, template="<s> $A")
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    train(
        LlamaForCausalLM(config),
        tokenizer,
        first=encode(first, tokenizer, 512),
        more=lambda: encode(documents(), tokenizer, 512),
        loss_of=loss_of,
        rng=rng,
        args=args,
        facts={"utterances": len(utterances)},
    )


if __name__ == "__main__":
    main()
