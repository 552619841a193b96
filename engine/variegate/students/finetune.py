"""Fine-tunes a sequence classifier with Transformers' Trainer: early stopping on a dev split, best weights, one seed.

No checkpoint is written: the best weights wait in memory. Knows nothing of test data.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers

from variegate.config.student import EMBEDDED, FinetunedStudentConfig
from variegate.embeddings.models import DEFAULT_MODEL, ModelFolder, find_model
from variegate.errors import UsageError, VariegateError
from variegate.model_folders import describe_missing
from variegate.progress import Report
from variegate.students.data import LabelledTexts
from variegate.students.evaluate import score
from variegate.students.finetuned import FinetunedStudent, longest, quiet, tokenize

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


class _Trainer(transformers.Trainer):
    """A Trainer that stops at the first loss that is no number: weights updated from it are lost for good."""

    def training_step(self, *arguments: Any, **options: Any) -> Any:
        loss = super().training_step(*arguments, **options)
        if not torch.isfinite(loss):
            raise _diverged(f"the loss is {loss.item()}", self.state, self.args)
        return loss


class _Watch(transformers.TrainerCallback):
    """Tells of the progress, keeps the history, the best weights where wanted, and stops when the dev score no longer rises."""

    def __init__(self, config: FinetunedStudentConfig, progress: Report | None) -> None:
        self._patience, self._by, self._progress = config.patience, config.best_by, progress
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.best_weights: dict[str, Any] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress(f"training, epoch {math.ceil(state.epoch)}", state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.history.append({"epoch": round(state.epoch), "loss": float(logs["loss"])})

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], model: Any, **_: Any) -> None:
        epoch = round(state.epoch)
        found = {name: metrics[f"eval_{name}"] for name in ("accuracy", "macro_f1", "loss")}
        if not math.isfinite(found["loss"]):
            raise _diverged(f"the loss on the dev data is {found['loss']}", state, args)
        if not self.history or self.history[-1]["epoch"] != epoch:
            self.history.append({"epoch": epoch, "loss": None})
        self.history[-1]["dev"] = found
        if self._patience is None:
            return
        better = self.best is None or (
            found[self._by] < self.best[self._by] if self._by == "loss" else found[self._by] > self.best[self._by]
        )
        if better:
            self.best = {"epoch": epoch, **found}
            self.best_weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        elif self.best is not None and epoch - self.best["epoch"] >= self._patience:
            control.should_training_stop = True


def _diverged(what: str, state: Any, args: Any) -> VariegateError:
    return VariegateError(
        f"the training diverged: {what} at step {state.global_step + 1} of {state.max_steps} (epoch {math.floor(state.epoch or 0) + 1}),"
        f" with learning_rate {args.learning_rate:g}. No student was stored. Lower it (--set learning_rate={args.learning_rate / 3:.1g}),"
        " or raise warmup; with precision float16 also try bfloat16 or float32"
    )


def train_finetuned(
    config: FinetunedStudentConfig,
    train: LabelledTexts,
    dev: LabelledTexts | None,
    labels: Sequence[str],
    *,
    seed: int,
    progress: Report | None,
) -> FinetunedStudent:
    """labels: all that the student shall know, sorted; the head has an output for each.

    Same seed, texts, machine and number of threads give the same weights on a CPU; a GPU adds up in no fixed order.
    Raises UsageError for settings that do not fit the data or the model; VariegateError when the model cannot be had, or the
    training diverges.
    """
    started = time.perf_counter()
    if config.patience is not None and dev is None:
        raise UsageError(
            f"patience: {config.patience}: stopping early needs dev data: give --dev, have a share of the training data split off with"
            " --dev-share 0.1, or train without it with --set patience=null"
        )
    precision = _precision(config)
    folder = find_model(DEFAULT_MODEL if config.model == EMBEDDED else config.model, revision=config.revision)
    with seeded(seed), quiet(), tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = _load(folder, labels)
        _check_length(config, model, tokenizer)
        tokenizer.model_max_length = config.max_tokens
        rows, num_cut = _rows(tokenizer, train, labels, config.max_tokens)
        dev_rows, num_dev_cut = ([], 0) if dev is None else _rows(tokenizer, dev, labels, config.max_tokens)
        arguments = _arguments(config, len(rows), scratch, seed=seed, precision=precision, with_dev=dev is not None)
        watch = _Watch(config, progress)
        trainer = _Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            eval_dataset=dev_rows or None,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            compute_metrics=lambda found: score(found.label_ids, found.predictions.argmax(axis=1), len(labels)),
            callbacks=[watch],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it goes on computing in `precision`
        if watch.best_weights:
            model.load_state_dict(watch.best_weights)
        _check_finite(model, trainer)
    facts = {
        "model": folder.name,
        "fingerprint": folder.fingerprint,
        "parameters": sum(each.numel() for each in model.parameters()),
        "device": str(next(model.parameters()).device.type),
        "precision": precision,
        "steps": trainer.state.global_step,
        "epochs_run": round(trainer.state.epoch),
        "stopped_early": trainer.state.global_step < trainer.state.max_steps,
        "best": watch.best,  # the epoch whose weights were kept; null: the last one's
        "history": watch.history,
        "num_truncated": num_cut,
        "num_dev_truncated": num_dev_cut,
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": [],
    }
    return FinetunedStudent(config, tuple(labels), train.pairs, model.eval(), tokenizer, facts)


def _precision(config: FinetunedStudentConfig) -> str:
    if config.precision == "auto":
        return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if config.precision == "float16" and not torch.cuda.is_available():
        raise UsageError("precision: float16 needs a GPU: choose auto, float32 or bfloat16")
    return config.precision


def _load(folder: ModelFolder, labels: Sequence[str]) -> tuple[Any, Any]:
    from safetensors import SafetensorError

    try:
        model, loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: place for place, label in enumerate(labels)},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=True,  # a head for other labels
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise VariegateError(f"model {folder.name!r}: cannot be loaded as a sequence classifier: {error}") from error
    inside = f"{model.base_model_prefix}."  # what is outside is the head, which is trained
    if missing := sorted(name for name in loaded["missing_keys"] if name.startswith(inside) and ".pooler." not in name):
        raise UsageError(f"model {folder.name!r}: {describe_missing(missing, sorted(loaded['unexpected_keys']))}")
    if tokenizer.pad_token_id is None:
        raise UsageError(f"model {folder.name!r}: its tokenizer has no padding token: take an encoder (BERT, RoBERTa, DistilBERT, ...)")
    return model, tokenizer


def _check_length(config: FinetunedStudentConfig, model: Any, tokenizer: Any) -> None:
    limit = longest(model, tokenizer)
    if limit is not None and config.max_tokens > limit:
        raise UsageError(
            f"max_tokens: {config.max_tokens}: model {config.model!r} reads at most {limit}: lower it (--set max_tokens={limit})"
        )


def _rows(tokenizer: Any, texts: LabelledTexts, labels: Sequence[str], max_tokens: int) -> tuple[list[dict[str, Any]], int]:
    encoded, num_cut = tokenize(tokenizer, texts.texts, max_tokens, pairs=texts.pairs, source=texts.source)
    number = {label: place for place, label in enumerate(labels)}
    return [{**each, "labels": number[label]} for each, label in zip(encoded, texts.labels, strict=True)], num_cut


def _arguments(
    config: FinetunedStudentConfig, num_rows: int, scratch: str, *, seed: int, precision: str, with_dev: bool
) -> transformers.TrainingArguments:
    steps_per_epoch = math.ceil(math.ceil(num_rows / config.batch_size) / config.gradient_accumulation)
    if config.warmup is None:
        warmup = config.warmup_steps
    else:
        warmup = round(config.warmup * (1 if config.warmup >= 1 else config.epochs) * steps_per_epoch)
    on_gpu = torch.cuda.is_available()
    if config.optimizer == "adamw_8bit":
        _check_bitsandbytes()
    arguments = transformers.TrainingArguments(
        output_dir=scratch,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=max(64, config.batch_size),
        gradient_accumulation_steps=config.gradient_accumulation,
        warmup_steps=warmup,
        lr_scheduler_type=_SCHEDULES[config.schedule],
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch" if config.optimizer == "adamw" else "adamw_8bit",
        train_sampling_strategy="group_by_length" if config.group_by_length else "random",
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        eval_strategy="epoch" if with_dev else "no",
        save_strategy="no",
        logging_strategy="epoch",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        seed=seed,
        data_seed=seed,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one GPU: with several the batch would be so many times as large
    return arguments


def _check_bitsandbytes() -> None:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise UsageError(f"optimizer: adamw_8bit needs the package bitsandbytes ({error}): install it, or choose adamw") from error


def _check_finite(model: Any, trainer: Any) -> None:
    """The last step's update is followed by no loss that would show it."""
    if not all(torch.isfinite(each).all() for each in model.parameters()):
        raise _diverged("a weight is no number", trainer.state, trainer.args)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The Trainer and dropout draw from global generators: they are seeded here and put back as they were."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        transformers.set_seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
