"""The training loop of the two small models: AdamW, bf16 autocast on the CPU, a cosine schedule, saved after every epoch.

Knows nothing of architectures or documents.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import harness
from nano_documents import Row, batches

LossOf = Callable[[Any, list[Row]], tuple[torch.Tensor, int]]  # model, batch -> summed cross-entropy and its number of tokens


def arguments(description: str | None, *, epochs: int, learning_rate: float) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-tokens", type=int, default=4096, help="padded tokens in a batch")
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, default=0, help="stop early, for a trial run")
    return parser.parse_args()


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    first: list[Row],
    more: Callable[[], list[Row]],
    loss_of: LossOf,
    rng: random.Random,
    args: argparse.Namespace,
    facts: dict[str, Any],
    by_size: bool = False,
) -> None:
    """first: the rows of the first epoch; more: makes those of each further one. facts: for `training.json`.

    by_size: each tensor's learning rate is `args.learning_rate` times the root mean square of its weights, without weight decay.
    T5's tensors differ a hundredfold in size.
    """
    print(f"{model.num_parameters()} parameters", flush=True)
    parameters = list(model.parameters())
    groups = [{"params": [p], "weight_decay": 0.1 if p.dim() > 1 and not by_size else 0.0} for p in parameters]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.95), fused=True)
    start, step, seen, history, total_steps = time.time(), 0, 0, [], 0
    rows = first
    for epoch in range(args.epochs):
        epoch_batches = batches(rows, args.batch_tokens, rng)
        total_steps = total_steps or len(epoch_batches) * args.epochs
        epoch_loss, epoch_count = 0.0, 0
        for batch in epoch_batches:
            rate = args.learning_rate * min(1.0, (step + 1) / 100) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / total_steps)))
            for group, parameter in zip(optimizer.param_groups, parameters, strict=True):
                group["lr"] = rate * max(1e-3, parameter.detach().square().mean().sqrt().item()) if by_size else rate
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, count = loss_of(model, batch)
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            seen += len(batch) * max(len(read) for read, _ in batch)
            epoch_loss, epoch_count, step = epoch_loss + loss.item(), epoch_count + count, step + 1
            if step % 50 == 0:
                speed = seen / (time.time() - start)
                print(f"epoch {epoch} step {step}/{total_steps} loss {loss.item() / count:.3f} {speed:.0f} tokens/s", flush=True)
            if step == args.max_steps:
                break
        history.append({"epoch": epoch + 1, "train_loss": epoch_loss / epoch_count})
        print(history[-1], flush=True)
        if step == args.max_steps:
            break
        rows = more() if epoch + 1 < args.epochs else []
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
                **facts,
                "torch": torch.__version__,
            },
        )


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, facts: dict[str, Any]) -> None:
    """bf16 safetensors, tokenizer and `training.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
