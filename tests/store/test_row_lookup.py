"""Look-ups of rows by key, compared with a plain dict of all rows. Moves and damage are tested with the shelf."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from variegate.store.row_lookup import RowLookup
from variegate.store.shelf import Shelf


def test_takes_what_a_dict_would_give(tmp_path: Path) -> None:
    draw, shelf, lookup, known = random.Random(3), Shelf(tmp_path), RowLookup("id"), {}
    for number in range(5):
        rows = [{"id": f"{draw.randrange(200)}", "text": "é" * draw.randrange(30), "entry": number} for _ in range(100)]
        lookup.add(shelf.put(f"x/{number}", "k", rows), lambda row: len(row["text"]) > 5)
        known.update({row["id"]: row for row in rows if len(row["text"]) > 5})
    keys = [f"{number}" for number in range(250)]
    draw.shuffle(keys)
    assert len(lookup) == len(known)
    assert [key in lookup for key in keys] == [key in known for key in keys]
    assert lookup.take(keys) == {key: known[key] for key in keys if key in known}
    assert lookup.take([]) == {}


@pytest.mark.slow
def test_holds_places_and_no_rows(tmp_path: Path) -> None:
    """20,000 rows of 10 kB: what the lookup holds is a few hundred bytes a row."""
    shelf = Shelf(tmp_path)
    entry = shelf.put("x", "k", ({"key": f"{number:020x}", "text": "x" * 10_000} for number in range(20_000)))
    lookup = RowLookup("key")
    tracemalloc.start()
    lookup.add(entry, lambda row: True)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 20_000 * 400
    assert len(lookup) == 20_000
