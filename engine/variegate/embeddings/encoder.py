"""The encoder that callers see: texts in, vectors and what must be known of them out. Knows nothing of measures.

Each distinct text is encoded once, and never again while it is in the cache; when all are there, no model is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
from jaxtyping import Float, Int, UInt64

from variegate.embeddings.cache import Scratch, VectorStore, cache_errors, default_cache, hash_texts
from variegate.embeddings.models import DEFAULT_MODEL, POOLINGS, find_model, load_model, pooling_of
from variegate.errors import StoreError, UsageError, nearest
from variegate.seeding import digest
from variegate.store.files import write_atomic

if TYPE_CHECKING:
    from variegate.embeddings.network import Network

OnProgress = Callable[[int, int], None]

# Largest 1 - cos against float32 that a lower precision may have, and what it must keep on the few texts probed for that.
ERROR_LIMIT = 1e-4
PROBE_LIMIT = ERROR_LIMIT / 2
_FORMAT = 1  # of the cache; part of its folders' names


class Encoder:
    """Turns texts into vectors.

    model: the default model's name, a folder, or the id of a hub model.
    pooling: "mean" or "cls"; None takes what the model says, and "mean" where it says nothing (a plain Transformers folder,
        such as BERT's).
    max_tokens: below the model's own limit; None takes that.
    precision: "auto" takes the device's fast lower precision if it has one and a probe on some of the texts at hand stays
        within PROBE_LIMIT of float32, else float32. What was chosen for a cache stays chosen for it.
    device: "auto" takes the GPU if there is one.
    cache: a folder; "default" is `default_cache()`; None keeps nothing.
    threads: on the CPU; None takes torch's number.

    A text's vector does not depend on the texts beside it, but for rounding (see `network`). Sets that are to be compared
    are best encoded in one call, or with one cache: texts they share are then encoded once and have the same vector.
    Raises UsageError or VariegateError.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        pooling: str | None = None,
        max_tokens: int | None = None,
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        cache: Path | str | None = "default",
        threads: int | None = None,
    ) -> None:
        if pooling is not None and pooling not in POOLINGS:
            raise UsageError(f"pooling={pooling!r}: expected {' or '.join(map(repr, POOLINGS))}{nearest(pooling, POOLINGS)}")
        for name, value in (("max_tokens", max_tokens), ("threads", threads)):
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: expected at least 1")
        self._folder = find_model(str(model))
        self._pooling = pooling or ("mean" if self._folder.plain else None)
        self._max_tokens, self._threads = max_tokens, threads
        self._device, self._lower = _device(device)
        if precision not in ("auto", "float32", self._lower):
            raise UsageError(
                f"precision={precision!r}: this device ({self._device}) is fast in {self._lower or 'float32 only'}: expected 'auto', 'float32'{f' or {self._lower!r}' if self._lower else ''}"
            )
        self._precision = precision
        self.name, self.fingerprint = self._folder.name, self._folder.fingerprint
        self._cache: Path | None = None
        if cache is not None:
            root = default_cache() if cache == "default" else Path(cache).expanduser()
            short = "".join(each if each.isalnum() or each in "-_." else "-" for each in self.name)[:60]
            self._cache = root / f"{short}-{digest([_FORMAT, self.fingerprint, self._pooling, max_tokens])}"
        self._facts = self._read_facts()
        self._network: Network | None = None
        self._stores: dict[str, VectorStore] = {}

    def encode(self, texts: Sequence[str], *, progress: OnProgress | None = None) -> Embeddings:
        """Vectors of `texts`, in their order. A killed call's finished windows (some thousand texts) are in the cache for the next.

        progress: called with the distinct texts that are done, and their number.
        """
        started = time.perf_counter()
        distinct, inverse = _distinct(texts)
        keys = hash_texts(distinct) if self._cache else np.zeros((len(distinct), 2), dtype=np.uint64)
        precision, reason = self._choose(distinct, keys)
        rows, truncated = self._find(precision, keys)
        missing = np.flatnonzero(rows < 0)
        finished = len(distinct) - len(missing)

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            if progress:
                progress(finished, len(distinct))

        done(0)
        store: VectorStore | Scratch | None = self._stores.get(precision)
        encoding_s = 0.0
        if len(missing):
            network = self._load()
            store = self._writable(precision, len(missing))
            begun = time.perf_counter()
            for window, vectors, cut in network.encode([distinct[i] for i in missing], precision, done=done):
                places = missing[window]
                rows[places] = store.append(keys[places], vectors, cut)
                truncated[places] = cut
            encoding_s = time.perf_counter() - begun
        assert store is not None  # there is at least one text
        if len(inverse) > len(distinct):
            rows, truncated = rows[inverse], truncated[inverse]
        return Embeddings(
            vectors=store.read(rows),
            name=self.name,
            fingerprint=self.fingerprint,
            width=self._facts["width"],
            max_tokens=self._facts["max_tokens"],
            pooling=self._facts["pooling"],
            precision=precision,
            precision_reason=reason,
            precision_error=self._probed(precision),
            num_truncated=int(truncated.sum()),
            num_unique=len(distinct),
            num_encoded=len(missing),
            seconds=time.perf_counter() - started,
            texts_per_second=len(missing) / encoding_s if len(missing) else None,
        )

    # -- precision ---------------------------------------------------------------------------------------------

    def _choose(self, texts: Sequence[str], keys: UInt64[np.ndarray, "n 2"]) -> tuple[str, str]:
        """The precision for these texts, and why. Loads the model only if some of them must be encoded."""
        lower = self._lower
        if self._precision == "float32":
            return "float32", "as asked"
        if lower is None:
            return "float32", f"this {'CPU has no bfloat16 instructions' if self._device == 'cpu' else 'device is used in float32'}"
        verdict = self._facts.get("lower", {}).get(lower)
        if verdict and not verdict["accepted"] and self._precision == "auto":
            return "float32", _say(lower, verdict)
        for precision in (lower, "float32") if verdict is None and self._precision == "auto" else (lower,):
            rows, _ = self._find(precision, keys)
            if (rows >= 0).all():
                return precision, _say(lower, verdict) if precision == lower and verdict else "as the vectors in the cache are"
        missing = [texts[i] for i in np.flatnonzero(self._find(lower, keys)[0] < 0)]
        error, num_probed = self._load().probe(missing, lower)
        if not num_probed:  # nothing but short texts, which are encoded in float32 either way
            if verdict or self._precision != "auto":
                return lower, _say(
                    lower, verdict
                ) if verdict else "as asked; the texts at hand are so short that they are encoded in float32"
            return "float32", f"the texts are too short for {lower} to be tried"
        if verdict:
            error, num_probed = max(error, verdict["error"]), num_probed + verdict["num_probed"]
        verdict = {"error": error, "num_probed": num_probed, "accepted": error <= PROBE_LIMIT}
        self._write_facts({"lower": {**self._facts.get("lower", {}), lower: verdict}})
        return (lower if verdict["accepted"] or self._precision != "auto" else "float32"), _say(lower, verdict)

    def _probed(self, precision: str) -> float | None:
        verdict = self._facts.get("lower", {}).get(precision)
        return float(verdict["error"]) if verdict else None

    # -- the model and its stores --------------------------------------------------------------------------------

    def _load(self) -> Network:
        if self._network is None:
            from variegate.embeddings.network import Network

            model = load_model(self._folder, pooling=self._pooling, max_tokens=self._max_tokens, device=self._device)
            self._network = Network(model, name=self.name, device=self._device, threads=self._threads)
            self._write_facts({"width": self._network.width, "max_tokens": self._network.max_tokens, "pooling": pooling_of(model)})
        return self._network

    def _find(self, precision: str, keys: UInt64[np.ndarray, "n 2"]) -> tuple[Int[np.ndarray, " n"], Any]:
        if self._cache is None or "width" not in self._facts:
            return np.full(len(keys), -1, dtype=np.int64), np.zeros(len(keys), dtype=bool)
        if precision not in self._stores:
            self._stores[precision] = VectorStore(self._cache / precision, self._facts["width"])
        return self._stores[precision].find(keys)

    def _writable(self, precision: str, num_rows: int) -> VectorStore | Scratch:
        if self._cache is None:
            return Scratch(num_rows, self._facts["width"])
        store = self._stores.setdefault(precision, VectorStore(self._cache / precision, self._facts["width"]))
        store.prepare(num_rows)
        return store

    # -- about.json: what answers without the model ---------------------------------------------------------------

    def _read_facts(self) -> dict[str, Any]:
        path = self._cache / "about.json" if self._cache else None
        if path is None or not path.is_file():
            return {}
        with cache_errors(path):
            data = path.read_bytes()
        try:
            facts = orjson.loads(data)
            if facts["fingerprint"] == self.fingerprint and isinstance(facts["width"], int) and {"max_tokens", "pooling"} <= facts.keys():
                return facts
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass  # said below
        raise StoreError(f"embedding cache {path.parent} is damaged: about.json does not describe it. Delete that folder and run again")

    def _write_facts(self, facts: dict[str, Any]) -> None:
        new = {**self._facts, **facts}
        if new == self._facts:
            return
        self._facts = new
        if self._cache is None:
            return
        path = self._cache / "about.json"
        about = {"model": self.name, "fingerprint": self.fingerprint, **new}
        try:
            write_atomic(path, orjson.dumps(about, option=orjson.OPT_INDENT_2))
        except StoreError as error:  # that one advises on a run's folder
            with cache_errors(path):
                raise error.__cause__ or error from None


def _say(lower: str, verdict: dict[str, Any]) -> str:
    within = "within" if verdict["accepted"] else "over"
    return f"{lower}: largest 1 - cos against float32 {verdict['error']:.1e} on {verdict['num_probed']} texts probed, {within} the limit of {PROBE_LIMIT:.0e}"


def _device(asked: str) -> tuple[str, str | None]:
    """The device, and the precision below float32 in which it is fast."""
    import torch

    from variegate.embeddings.network import lower_precision

    if asked not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device={asked!r}: expected 'auto', 'cpu' or 'cuda'{nearest(asked, ('auto', 'cpu', 'cuda'))}")
    if asked == "cuda" and not torch.cuda.is_available():
        raise UsageError("device='cuda': torch finds no GPU here: choose 'auto' or 'cpu'")
    device = "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"
    return device, lower_precision(device)
