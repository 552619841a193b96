"""Train nano-llama, the 4 M-parameter Llama that travels with Variegate, from public CC-BY data.

    python benchmarks/train_nano_llama.py --data DATA --output engine/variegate/assets/nano-llama

DATA holds clinc150, banking77, hwu64 and sms_spam as JSONL. Only their train splits are read. Every document is one of
Variegate's own prompt templates with its answer; the loss is on answers alone. One run takes about an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from variegate.config import TaskConfig, load_task
from variegate.strategies.prompts import builtin_prompts

TASKS = ("clinc150", "banking77", "hwu64", "sms_spam")
Piece = tuple[str, bool]  # text, and whether the model learns to write it


def read_train(task: TaskConfig, data: Path) -> dict[str, list[str]]:
    """label -> texts of the train split, inner double quotes made single (a double quote ends a text), duplicates removed."""
    texts: dict[str, list[str]] = defaultdict(list)
    for line in (data / task.name / "train.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = " ".join(row["text"].replace('"', "'").split())
        if row["label"] in task.labels and text not in texts[row["label"]]:
            texts[row["label"]].append(text)
    return dict(texts)


def make_document(task: TaskConfig, texts: dict[str, list[str]], label: str, text: str, rng: random.Random) -> list[Piece]:
    """One document in which `text` is written as an answer for `label`, in a template drawn at random."""
    render = builtin_prompts().render
    words = {"text_type": task.text_type, "context": task.context}
    this = task.labels[label]
    names = sorted(texts)

    def draw(wanted: str | None = None) -> tuple[str, str]:
        name = wanted or rng.choice(names)
        return name, rng.choice(texts[name])

    kind = rng.choices(("li", "chung", "li_examples", "mix", "another", "classify"), weights=(30, 32, 10, 6, 8, 14))[0]
    if kind == "chung":
        pieces: list[Piece] = []
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 5))):
            name, example = draw(label if rng.random() < 0.2 else None)
            pieces += [(render("chung_block", label=task.labels[name], **words), False), (example + '"', True), ("\n\n", False)]
        return [*pieces, (render("chung_block", label=this, **words), False), (text + '"', True)]
    if kind == "classify":
        options = None
        if rng.random() < 0.5 and len(names) > 2:
            options = [*rng.sample([name for name in names if name != label], min(4, len(names) - 1)), label]
            rng.shuffle(options)
            options = [task.labels[name] for name in options]
        return [(render("classify", labels=options, text=text, **words), False), (" " + this.title, True)]
    if kind == "another":
        _, example = draw(label)
        return [(render("another", text=example, label=this, **words), False), (text + '"', True)]
    if kind == "mix":
        partner = rng.choice([name for name in names if name != label])
        percent = rng.choice((75, 80, 85, 90, 95, 100))
        return [(render("mix", label=this, partner=task.labels[partner], percent=percent, **words), False), (text + '"', True)]
    limit = rng.choice((10, 20, 30)) if rng.random() < 0.3 else None
    limit = limit if limit and len(text.split()) <= limit else None
    parts = [render("li_context", **words)] if rng.random() < 0.8 else []
    if kind == "li_examples":
        examples = []
        for _ in range(rng.choice((1, 2, 3, 5))):
            name, example = draw(label if rng.random() < 0.5 else None)
            examples.append({"label": task.labels[name], "text": example})
        parts.append(render("li_examples", examples=examples, **words))
    parts.append(render("li_generate", label=this, style=None, word_limit=limit, **words))
    if kind == "li" and rng.random() < 0.4:
        history = [draw(label)[1] for _ in range(rng.choice((1, 2, 4)))]
        parts += [render("li_history", history=history, **words), render("li_diversity", **words)]
    parts.append(render("cue", **words))
    return [("\n".join(parts), False), (text + '"', True)]


def train_tokenizer(documents: list[list[Piece]], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which a double quote and a newline are always tokens of their own: they end a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r'"|\n'), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(("".join(text for text, _ in document) for document in documents), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="left", model_max_length=1024
    )


def encode(documents: list[list[Piece]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[tuple[list[int], list[int]]]:
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


def batches(rows: list[tuple[list[int], list[int]]], tokens: int, rng: random.Random) -> list[list[tuple[list[int], list[int]]]]:
    """Batches of rows of similar length with at most `tokens` padded tokens each, in random order."""
    rows = sorted(rows, key=lambda row: (len(row[0]), rng.random()))
    out: list[list[tuple[list[int], list[int]]]] = [[]]
    for row in rows:
        if (len(out[-1]) + 1) * len(row[0]) > tokens:
            out.append([])
        out[-1].append(row)
    rng.shuffle(out)
    return out


def collate(batch: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [2] * (width - len(row)) for row, _ in batch])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in batch])
    return ids, labels


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy and its number of tokens; the head runs only where there is a label (it is a quarter of the work)."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]  # padding is on the right: causal attention never sees it
    wanted = labels[:, 1:]
    mask = wanted != -100
    logits = model.lm_head(hidden[mask]).float()
    return torch.nn.functional.cross_entropy(logits, wanted[mask], reduction="sum"), int(mask.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-tokens", type=int, default=4096, help="padded tokens in a batch")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, default=0, help="stop early, for a trial run")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    tasks = [load_task(name) for name in TASKS]
    corpus = [(task, read_train(task, args.data)) for task in tasks]
    utterances = [(task, texts, label, text) for task, texts in corpus for label, each in texts.items() for text in each]
    print(f"{len(utterances)} utterances of {len(tasks)} tasks", flush=True)

    def epoch_documents() -> list[list[Piece]]:
        return [make_document(task, texts, label, text, rng) for task, texts, label, text in utterances]

    documents = epoch_documents()
    tokenizer = train_tokenizer(documents, vocab_size=4096)
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
    model = LlamaForCausalLM(config)
    print(f"{model.num_parameters()} parameters", flush=True)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=args.learning_rate, betas=(0.9, 0.95)
    )

    start, step, seen, history, total_steps = time.time(), 0, 0, [], 0
    for epoch in range(args.epochs):
        rows = encode(documents, tokenizer, 512)
        epoch_batches = batches(rows, args.batch_tokens, rng)
        total_steps = total_steps or len(epoch_batches) * args.epochs
        epoch_loss, epoch_count = 0.0, 0
        for batch in epoch_batches:
            rate = args.learning_rate * min(1.0, (step + 1) / 100) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / total_steps)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            ids, labels = collate(batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, count = loss_of(model, ids, labels)
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            epoch_loss, epoch_count, seen, step = epoch_loss + loss.item(), epoch_count + count, seen + ids.numel(), step + 1
            if step % 50 == 0:
                speed = seen / (time.time() - start)
                print(f"epoch {epoch} step {step}/{total_steps} loss {loss.item() / count:.3f} {speed:.0f} tokens/s", flush=True)
            if step == args.max_steps:
                break
        history.append({"epoch": epoch + 1, "train_loss": epoch_loss / epoch_count})
        print(history[-1], flush=True)
        if step == args.max_steps:
            break
        documents = epoch_documents()
        save(
            model,
            tokenizer,
            args.output,
            {
                "loss": history,
                "steps": step,
                "padded_tokens": seen,
                "seconds": round(time.time() - start),
                "arguments": {k: str(v) for k, v in vars(args).items() if k not in ("data", "output")},
                "parameters": model.num_parameters(),
                "utterances": len(utterances),
                "torch": torch.__version__,
            },
        )


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, facts: dict) -> None:
    """bf16 safetensors, tokenizer and `training.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    copy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
