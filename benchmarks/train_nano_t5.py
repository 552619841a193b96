"""Train nano-t5, the small FLAN-T5-like model (v1.1: gated GELU, untied head) that travels with Variegate, from public CC-BY data.

    python benchmarks/train_nano_t5.py --data DATA --output engine/variegate/assets/nano-t5

DATA holds clinc150, banking77, hwu64, sms_spam and nlupp as JSONL. Only their train splits are read. The encoder reads one
of Variegate's own prompt templates, the decoder learns its answer; nlupp's texts are asked for by their attributes (intents)
and slots, and the other way round. One run takes about an hour on 2 cores.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from nano_documents import TASKS, Piece, Row, make_document, read_corpus, train_tokenizer
from nano_training import arguments, train
from variegate.strategies.prompts import Prompts

VOCABULARY = 3072
SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
TEXT_TYPES = {"banking": "message to a bank's customer support", "hotels": "message to a hotel"}
REPEATS = 3  # documents drawn of each nlupp text in an epoch: there are few


@dataclass(frozen=True)
class Utterance:
    """An nlupp text with its attributes' keys and its slots as words ("time from: 12:45 p.m.")."""

    text: str
    domain: str
    attributes: tuple[str, ...]
    slots: tuple[str, ...]


def read_nlupp(data: Path) -> list[Utterance]:
    out = []
    for domain in TEXT_TYPES:
        for line in (data / "nlupp" / f"{domain}_train.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            slots = tuple(f"{name.replace('_', ' ')}: {each['text']}" for name, each in row.get("slots", {}).items())
            out.append(Utterance(" ".join(row["text"].replace('"', "'").split()), domain, tuple(row.get("intents", ())), slots))
    return out


def read_attributes(data: Path) -> dict[str, dict[str, str]]:
    """key -> title and description, without the ontology's boiler-plate ("is the intent to affirm something?")."""
    ontology = json.loads((data / "nlupp" / "ontology.json").read_text(encoding="utf-8"))["intents"]
    words = {}
    for key, entry in ontology.items():
        description = entry["description"].removeprefix("is the intent ").rstrip("?")
        words[key] = {"title": key.replace("_", " "), "description": description}
    return words


def make_attribute_document(
    this: Utterance, by_domain: dict[str, list[Utterance]], words: dict[str, dict[str, str]], rng: random.Random
) -> list[Piece]:
    """One document in which `this` is asked for by its attributes and slots, or they are asked for by it."""
    render = Prompts().render
    text_type = TEXT_TYPES[this.domain]
    kinds = ("attributes", "attribute_content", "both", "name_attributes", "name_slots")
    kind = rng.choices(kinds, weights=(35, 15, 20, 15, 15))[0]
    if kind == "name_attributes":
        names = "; ".join(words[key]["title"] for key in this.attributes) or "none"
        return [(render(kind, text_type=text_type, text=this.text), False), (" " + names, True)]
    if kind == "name_slots":
        return [(render(kind, text_type=text_type, text=this.text), False), (" " + ("; ".join(this.slots) or "none"), True)]
    shuffled = rng.sample(this.attributes, len(this.attributes))
    attributes = [words[key] for key in shuffled]
    asked = render("attributes", text_type=text_type, attributes=attributes, slots=list(this.slots))
    if kind == "attributes":
        return [(asked, False), (this.text + '"', True)]
    akin = [each for each in by_domain[this.domain] if each is not this and set(each.attributes) & set(this.attributes)]
    examples = [each.text for each in rng.sample(akin, min(len(akin), rng.choice((0, 1, 2, 2))))]
    content = render("attribute_content", slots=list(this.slots), domain=this.domain, examples=examples)
    if kind == "both":
        content = render("attributes", text_type=text_type, attributes=attributes, slots=[]).rpartition("\n")[0] + "\n" + content
    return [(content, False), (this.text + '"', True)]


def encode(documents: list[list[Piece]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Row]:
    """(encoder ids, decoder ids) of each document: all but its last piece, and that piece; both end in `</s>`."""
    read = tokenizer(["".join(text for text, _ in document[:-1]) for document in documents])["input_ids"]
    learnt = tokenizer([document[-1][0] for document in documents])["input_ids"]
    return [
        (source, target) for source, target in zip(read, learnt, strict=True) if len(source) <= max_length and len(target) <= max_length
    ]


def padded(rows: list[list[int]], value: int, multiple: int) -> torch.Tensor:
    width = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def loss_of(model: T5ForConditionalGeneration, batch: list[Row]) -> tuple[torch.Tensor, int]:
    """Widths and the number of rows are rounded up: products of a new shape are slow the first time on a CPU."""
    unlearnt = [(source, [-100] * len(target)) for source, target in batch[:1] * (-len(batch) % 8)]
    ids = padded([source for source, _ in batch + unlearnt], model.config.pad_token_id, 16)
    labels = padded([target for _, target in batch + unlearnt], -100, 8)
    shifted = torch.cat([torch.zeros(len(labels), 1, dtype=torch.long), labels[:, :-1].clamp(min=0)], dim=1)
    logits = model(input_ids=ids, attention_mask=(ids != model.config.pad_token_id).long(), decoder_input_ids=shifted).logits
    mask = labels != -100
    loss = torch.nn.functional.cross_entropy(logits[mask].float(), labels[mask], reduction="sum")
    return loss, int(mask.sum())


def make_model() -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=192,
        d_kv=32,
        num_heads=6,
        d_ff=512,
        num_layers=3,
        num_decoder_layers=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = T5ForConditionalGeneration(config)
    # transformers 5 ties the head of every new T5; a checkpoint with a head of its own is loaded untied.
    config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    torch.nn.init.normal_(model.lm_head.weight, std=0.05)  # T5's own scale of 1 makes the first losses ten times what they need be
    return model


def main() -> None:
    args = arguments(__doc__, epochs=5, learning_rate=2e-2)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    utterances = read_corpus(args.data)
    nlupp, words = read_nlupp(args.data), read_attributes(args.data)
    by_domain = {domain: [each for each in nlupp if each.domain == domain] for domain in TEXT_TYPES}
    print(f"{len(utterances)} utterances of {len(TASKS)} tasks, {len(nlupp)} of nlupp", flush=True)

    def documents() -> list[list[Piece]]:
        classes = [make_document(*each, rng) for each in utterances]
        return classes + [make_attribute_document(each, by_domain, words, rng) for each in nlupp for _ in range(REPEATS)]

    first = documents()
    tokenizer = train_tokenizer(first, vocab_size=VOCABULARY, special=SPECIAL, template="$A </s>")
    model = make_model()
    model.compile(dynamic=True)  # three minutes at the start; each step then takes two thirds of the time
    train(
        model,
        tokenizer,
        first=encode(first, tokenizer, 512),
        more=lambda: encode(documents(), tokenizer, 512),
        loss_of=loss_of,
        rng=rng,
        args=args,
        facts={"utterances": len(utterances) + len(nlupp)},
        by_size=True,
    )


if __name__ == "__main__":
    main()
