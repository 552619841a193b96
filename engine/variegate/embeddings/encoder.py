"""The encoder that callers see: texts in, vectors and what must be known of them out. Knows nothing of measures.

Each distinct text is encoded once, and never again while it is in the cache; when all are there, no model is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int, UInt64

from variegate.embeddings.about import About, describe
from variegate.embeddings.cache import Scratch, VectorStore
from variegate.embeddings.location import default_cache
from variegate.embeddings.models import DEFAULT_MODEL, POOLINGS, find_model, load_model, pooling_of
from variegate.embeddings.result import Embeddings
from variegate.embeddings.texts import find_distinct, hash_texts
from variegate.errors import UsageError, nearest
from variegate.seeding import digest

if TYPE_CHECKING:
    from variegate.embeddings.network import Network

OnProgress = Callable[[int, int], None]

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
        model: str | Path = DEFAULT_MODEL,
        *,
        pooling: str | None = None,
        max_tokens: int | None = None,
        precision: str = "auto",
        device: str = "auto",
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
        self._about = About(self._cache, model=self.name, fingerprint=self.fingerprint)
        self._network: Network | None = None
        self._stores: dict[str, VectorStore] = {}

    def encode(self, texts: Sequence[str], *, progress: OnProgress | None = None) -> Embeddings:
        """Vectors of `texts`, in their order. A killed call's finished windows (some thousand texts) are in the cache for the next.

        progress: called with the distinct texts that are done, and their number.
        """
        started = time.perf_counter()
        distinct, inverse = find_distinct(texts)
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
        encoding_s, num_unknown = 0.0, 0
        if len(missing):
            network = self._load()
            num_unknown = self._check_known(network, [distinct[i] for i in missing])
            store = self._writable(precision, len(missing))
            begun = time.perf_counter()
            with closing(network.encode([distinct[i] for i in missing], precision, done=done)) as windows:
                for window, vectors, cut in windows:
                    places = missing[window]
                    rows[places] = store.append(keys[places], vectors, cut)
                    truncated[places] = cut
            encoding_s = time.perf_counter() - begun
        else:
            store = self._stores[precision]
        if len(inverse) > len(distinct):
            rows, truncated = rows[inverse], truncated[inverse]
        return Embeddings(
            vectors=store.read(rows),
            name=self.name,
            fingerprint=self.fingerprint,
            width=self._about["width"],
            max_tokens=self._about["max_tokens"],
            pooling=self._about["pooling"],
            precision=precision,
            precision_reason=reason,
            precision_error=verdict["error"] if (verdict := self._about.verdict(precision)) else None,
            num_truncated=int(truncated.sum()),
            num_unknown=num_unknown,
            num_unique=len(distinct),
            num_encoded=len(missing),
            seconds=time.perf_counter() - started,
            texts_per_second=len(missing) / encoding_s if len(missing) else None,
        )

    def _check_known(self, network: Network, texts: Sequence[str]) -> int:
        """How many texts the encoder's vocabulary does not know. Raises UsageError where it is most of them: each is one and the same
        vector then, and every number that is made of vectors says nothing."""
        unknown = network.unknown(texts)
        if unknown and 2 * unknown >= len(texts):
            raise UsageError(
                f"encoder {self.name!r} does not know the script or the words of {unknown / len(texts):.0%} of the {len(texts):,} texts: their"
                " vectors would all be alike. Take one that does, as --encoder with a multilingual sentence encoder's folder or hub id"
            )
        return unknown

    # -- precision ---------------------------------------------------------------------------------------------

    def _choose(self, texts: Sequence[str], keys: UInt64[np.ndarray, "n 2"]) -> tuple[str, str]:
        """The precision for these texts, and why. Loads the model only if some of them must be encoded."""
        lower = self._lower
        if self._precision == "float32":
            return "float32", "as asked"
        if lower is None:
            return "float32", f"this {'CPU has no bfloat16 instructions' if self._device == 'cpu' else 'device is used in float32'}"
        verdict = self._about.verdict(lower)
        if verdict and not verdict["accepted"] and self._precision == "auto":
            return "float32", describe(lower, verdict)
        for precision in (lower, "float32") if verdict is None and self._precision == "auto" else (lower,):
            rows, _ = self._find(precision, keys)
            if (rows >= 0).all():
                return precision, describe(lower, verdict) if precision == lower and verdict else "as the vectors in the cache are"
        missing = [texts[i] for i in np.flatnonzero(self._find(lower, keys)[0] < 0)]
        error, num_probed = self._load().probe(missing, lower, self._about.probe_size(lower, len(missing)))
        if num_probed:
            verdict = self._about.add_probe(lower, error, num_probed)
        if verdict is None:  # short texts alone, which are encoded in float32 either way
            return (lower if self._precision == lower else "float32"), f"the texts are too short for {lower} to be tried"
        return (lower if verdict["accepted"] or self._precision != "auto" else "float32"), describe(lower, verdict)

    # -- the model and its stores --------------------------------------------------------------------------------

    def _load(self) -> Network:
        if self._network is None:
            from variegate.embeddings.network import Network

            model = load_model(self._folder, pooling=self._pooling, max_tokens=self._max_tokens, device=self._device)
            self._network = Network(model, name=self.name, device=self._device, threads=self._threads)
            self._about.set_model(width=self._network.width, max_tokens=self._network.max_tokens, pooling=pooling_of(model))
        return self._network

    def _find(self, precision: str, keys: UInt64[np.ndarray, "n 2"]) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        if self._cache is None or not self._about.known:
            return np.full(len(keys), -1, dtype=np.int64), np.zeros(len(keys), dtype=bool)
        if precision not in self._stores:
            self._stores[precision] = VectorStore(self._cache / precision, self._about["width"])
        return self._stores[precision].find(keys)

    def _writable(self, precision: str, num_rows: int) -> VectorStore | Scratch:
        if self._cache is None:
            return Scratch(num_rows, self._about["width"])
        store = self._stores.setdefault(precision, VectorStore(self._cache / precision, self._about["width"]))
        store.prepare(num_rows)
        return store


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
