"""What is known of an encoder without loading it: its width, its limits, how a lower precision did. Kept beside its vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from variegate.embeddings.location import cache_errors
from variegate.errors import StoreError
from variegate.store.files import write_atomic

# Largest 1 - cos against float32 that a lower precision may have, and what it must keep on the few texts probed for that.
ERROR_LIMIT = 1e-4
PROBE_LIMIT = ERROR_LIMIT / 2
_PROBED = (16, 64)  # texts, at least and at most


class About:
    """about.json of a cache folder; without a folder, the same in memory. Raises StoreError."""

    def __init__(self, folder: Path | None, *, model: str, fingerprint: str) -> None:
        self._path = folder / "about.json" if folder else None
        self._facts: dict[str, Any] = {"model": model, "fingerprint": fingerprint, "lower": {}}
        if self._path is None or not self._path.is_file():
            return
        with cache_errors(self._path):
            data = self._path.read_bytes()
        try:
            facts = orjson.loads(data)
        except orjson.JSONDecodeError:
            facts = None
        expected = {**dict.fromkeys(("width", "max_tokens", "pooling")), **self._facts}
        if not isinstance(facts, dict) or facts.keys() != expected.keys() or facts["fingerprint"] != fingerprint:
            raise StoreError(
                f"embedding cache {folder} is damaged: about.json does not describe it. Delete that folder and run again: its texts are then encoded anew"
            )
        self._facts = facts

    @property
    def known(self) -> bool:
        """Whether the model was ever loaded for this cache."""
        return "width" in self._facts

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def set_model(self, *, width: int, max_tokens: int | None, pooling: str) -> None:
        self._write({**self._facts, "width": width, "max_tokens": max_tokens, "pooling": pooling})

    def verdict(self, precision: str) -> dict[str, Any] | None:
        """error, num_probed, accepted: of all probes so far."""
        return self._facts["lower"].get(precision)

    def probe_size(self, precision: str, num_texts: int) -> int:
        """How many of `num_texts` texts to probe: a sixteenth, and fewer once many were."""
        least, most = _PROBED
        verdict = self.verdict(precision)
        return least if verdict and verdict["num_probed"] >= most else min(most, max(least, num_texts // 16))

    def add_probe(self, precision: str, error: float, num_probed: int) -> dict[str, Any]:
        """The verdict after one more probe: what failed once stays refused."""
        if before := self.verdict(precision):
            error, num_probed = max(error, before["error"]), num_probed + before["num_probed"]
        verdict = {"error": error, "num_probed": num_probed, "accepted": error <= PROBE_LIMIT}
        self._write({**self._facts, "lower": {**self._facts["lower"], precision: verdict}})
        return verdict

    def _write(self, facts: dict[str, Any]) -> None:
        if facts == self._facts:
            return
        self._facts = facts
        if self._path is None:
            return
        try:
            write_atomic(self._path, orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        except StoreError as error:  # that one advises on a run's folder
            with cache_errors(self._path):
                raise error.__cause__ or error from None


def describe(lower: str, verdict: dict[str, Any]) -> str:
    within = "within" if verdict["accepted"] else "over"
    return f"{lower}: largest 1 - cos against float32 {verdict['error']:.1e} on {verdict['num_probed']} texts probed, {within} the limit of {PROBE_LIMIT:.0e}"
