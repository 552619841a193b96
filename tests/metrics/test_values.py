"""MetricValue as a number, as JSON and as a value that is not changed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from variegate.metrics import chamfer
from variegate.metrics.values import DISTANCES, MetricValue

WHOLE = MetricValue(
    metric="chamfer",
    value=0.25,
    n=3,
    implementation="dense",
    precision="float64",
    distance="cosine",
    include_self=False,
    num_duplicates=0,
    interval=(0.2, 0.3),
    details={"num_looked_up_again": 0},
    per_record=np.array([0.2, 0.25, 0.3]),
)


def test_json_holds_everything_but_the_records() -> None:
    expected = {
        "metric": "chamfer", "value": 0.25, "distance": "cosine", "n": 3, "m": None, "k": None, "encoder": None, "include_self": False,
        "num_duplicates": 0, "implementation": "dense", "precision": "float64", "interval": [0.2, 0.3], "details": {"num_looked_up_again": 0},
    }  # fmt: skip
    assert json.loads(json.dumps(WHOLE.to_json(), allow_nan=False)) == expected
    assert dataclasses.replace(WHOLE, interval=None).to_json()["interval"] is None


def test_json_is_a_copy() -> None:
    WHOLE.to_json()["details"]["radius"] = 1
    assert WHOLE.details == {"num_looked_up_again": 0}


def test_it_is_a_number_and_cannot_be_changed() -> None:
    assert float(WHOLE) == 0.25
    with pytest.raises(dataclasses.FrozenInstanceError):
        WHOLE.value = 1.0  # type: ignore[misc]


def test_equality_and_repr_leave_the_records_out() -> None:
    assert dataclasses.replace(WHOLE, per_record=None) == WHOLE
    assert "per_record" not in repr(WHOLE)
    assert dataclasses.replace(WHOLE, value=0.5) != WHOLE


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_measured_value_is_plain_python(distance: str) -> None:
    """No numpy or torch scalar, which json does not take."""
    value = chamfer(np.random.default_rng(0).random((30, 4)), distance=distance)
    assert type(value.value) is float
    assert type(value.n) is int
    assert type(value.num_duplicates) is int
    json.dumps(value.to_json(), allow_nan=False)
    assert value.per_record is not None
    assert value.per_record.dtype == np.float64
    assert value.per_record.shape == (30,)
