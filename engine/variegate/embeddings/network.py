"""A loaded encoder at work: windows of texts to vectors, as fast as the machine allows. Knows nothing of caches and names.

Texts of a window are tokenised together and batched by their exact number of tokens, so nothing is padded: no work is done
for padding, and a text's vector does not depend on the texts beside it. On the CPU every batch runs on one thread, several
batches side by side; a matrix product is then computed in the same way however many threads there are. Together these made
MiniLM's vectors equal to the last bit in every order, batch and number of threads, in float32 and in bfloat16 (torch 2.13,
x86-64). A library may also choose how to sum by a batch's size (as happens to models that are very narrow, and on GPUs):
then a vector moves by float32's rounding. While a call runs, torch's number of threads is 1 in the whole process.

Lower precision is autocast: products in bfloat16 (or float16), sums, residuals and norms in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from variegate.devices import cpu_has_bfloat16
from variegate.embeddings.batching import SIZES, Batch, batch_by_length, cut_windows
from variegate.errors import UsageError, VariegateError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# A short text's vector is the mean of few tokens, so their bfloat16 errors hardly average out: with MiniLM the largest
# 1 - cos against float32 was 1.3e-4 among texts of up to ten tokens and 6.0e-5 among those above (10,000 texts of eight data
# sets). Short texts cost little, so they stay in float32.
SHORT_TOKENS = 10


def lower_precision(device: str) -> str | None:
    """The precision below float32 in which this device is fast, if there is one."""
    if device == "cuda":
        return "float16"
    return "bfloat16" if cpu_has_bfloat16() else None


class Network:
    """model: a SentenceTransformer. threads: on the CPU; None takes torch's number."""

    def __init__(self, model: Any, *, name: str, device: str, threads: int | None = None) -> None:
        self._model, self._name, self._device = model, name, device
        self._threads = (threads or torch.get_num_threads()) if device == "cpu" else 1
        self._sizes = SIZES[device]
        self._prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
        self.max_tokens: int | None = model.max_seq_length
        with self._workers("float32") as workers:
            (batch,), _ = self.prepare(["how wide?"])
            self.width: int = workers.submit(self._forward, batch, "float32").result().shape[1]

    def encode(
        self, texts: Sequence[str], precision: str, *, done: Callable[[int], None]
    ) -> Generator[tuple[slice, Float[np.ndarray, "n d"], Bool[np.ndarray, " n"]], None, None]:
        """Window by window: which texts, their vectors, and whether each was longer than the model reads.

        done: called with the number of texts each batch finished. Close it when it was not used up. Raises VariegateError on a vector that is not finite.
        """
        for window, vectors, truncated in self._encode(texts, precision, done):
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(bad):
                raise VariegateError(
                    f"encoder {self._name!r} in {precision} gave a vector that is not finite for the text"
                    f" {texts[window.start + int(bad[0])][:80]!r}: try precision='float32', or another encoder"
                )
            yield window, vectors, truncated

    def probe(self, texts: Sequence[str], precision: str, num_probed: int) -> tuple[float, int]:
        """The largest 1 - cos between `precision` and float32 over `num_probed` of these texts, and over how many it was.

        They are spread evenly over the lengths of those texts that `precision` would be used for; there may be none.
        """
        ordered = sorted(texts, key=len)
        candidates = [ordered[i] for i in _spread(len(ordered), 4 * num_probed)]
        batches, _ = self.prepare(candidates)
        low = sorted(row for batch in batches if _is_low(batch, precision) for row in batch.rows.tolist())
        sample = [candidates[low[i]] for i in _spread(len(low), num_probed)]
        if not sample:
            return 0.0, 0
        both = [np.concatenate([part for _, part, _ in self._encode(sample, each, lambda _: None)]) for each in ("float32", precision)]
        error = float(_one_minus_cosine(*both).max())
        return error if np.isfinite(error) else float("inf"), len(sample)

    def _encode(
        self, texts: Sequence[str], precision: str, done: Callable[[int], None]
    ) -> Iterator[tuple[slice, Float[np.ndarray, "n d"], Bool[np.ndarray, " n"]]]:
        windows = list(cut_windows(texts, self._sizes))
        with self._workers(precision) as workers, ThreadPoolExecutor(1) as ahead:
            upcoming = ahead.submit(self.prepare, texts[windows[0]])
            for number, window in enumerate(windows):
                batches, truncated = upcoming.result()
                if number + 1 < len(windows):  # tokenised while this window is encoded
                    upcoming = ahead.submit(self.prepare, texts[windows[number + 1]])
                vectors = np.empty((window.stop - window.start, self.width), dtype=np.float32)
                for batch, part in zip(batches, workers.map(partial(self._forward, precision=precision), batches), strict=True):
                    vectors[batch.rows] = part
                    done(len(batch.rows))
                yield window, vectors, truncated

    def unknown(self, texts: Sequence[str]) -> int:
        """Texts at least half of whose tokens are the vocabulary's word for what it does not know; 0 where it has none."""
        tokenizer = self._model.tokenizer
        if getattr(tokenizer, "unk_token_id", None) is None:
            return 0
        ids = tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=64, verbose=False)["input_ids"]
        return sum(bool(each) and 2 * each.count(tokenizer.unk_token_id) >= len(each) for each in ids)

    def prepare(self, texts: Sequence[str]) -> tuple[list[Batch], Bool[np.ndarray, " n"]]:
        """Batches of a window's texts, and which of them are longer than the model reads."""
        try:
            batches = batch_by_length(texts, lambda some: self._model.preprocess(some, prompt=self._prompt), self._sizes.batch_tokens)
        except UsageError as error:
            raise UsageError(f"encoder {self._name!r} is no transformer encoder: {error}") from error
        return batches, self._truncated(texts, batches)

    def _truncated(self, texts: Sequence[str], batches: Sequence[Batch]) -> Bool[np.ndarray, " n"]:
        """Only a text that fills the model's window can have been cut; those are counted again without a limit."""
        out = np.zeros(len(texts), dtype=bool)
        limit = self.max_tokens
        full = [row for batch in batches if limit is not None and batch.num_tokens >= limit for row in batch.rows.tolist()]
        if limit is not None and full:
            whole = self._model.tokenizer([(self._prompt or "") + texts[row] for row in full], truncation=False, verbose=False)
            out[full] = [len(ids) > limit for ids in whole["input_ids"]]
        return out

    def _forward(self, batch: Batch, precision: str) -> Float[np.ndarray, "b d"]:
        inputs = {name: value.to(self._device) if isinstance(value, Tensor) else value for name, value in batch.features.items()}
        exact = precision != "float32" and not _is_low(batch, precision)
        with torch.autocast(self._device, enabled=False) if exact else nullcontext():
            vectors = self._model(inputs)["sentence_embedding"]
        return vectors.float().cpu().numpy()

    @contextmanager
    def _workers(self, precision: str) -> Iterator[ThreadPoolExecutor]:
        """Threads that run batches side by side, on the CPU each on one core."""

        def enter() -> None:
            # inference_mode would be as good, but autocast keeps its casts of the weights only without it
            torch.set_grad_enabled(False)
            if precision != "float32":
                # never left: leaving the outermost autocast drops the cast weights
                torch.autocast(self._device, dtype=DTYPES[precision]).__enter__()  # type: ignore[no-untyped-call]

        before = torch.get_num_threads()
        if self._device == "cpu":
            torch.set_num_threads(1)  # also of threads yet to start
        pool = ThreadPoolExecutor(self._threads, initializer=enter)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)
            torch.clear_autocast_cache()


def _is_low(batch: Batch, precision: str) -> bool:
    return precision == "float16" or (precision == "bfloat16" and batch.num_tokens > SHORT_TOKENS)


def _spread(count: int, wanted: int) -> Int[np.ndarray, " k"]:
    """`wanted` places spread evenly over 0 .. count - 1, or all."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64)) if count else np.empty(0, dtype=np.int64)


def _one_minus_cosine(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Through differences, so that small ones keep their digits."""
    a, b = (each.astype(np.float64) / np.linalg.norm(each.astype(np.float64), axis=1, keepdims=True) for each in (a, b))
    return 0.5 * ((a - b) ** 2).sum(axis=1)
