from __future__ import annotations

from variegate.errors import VariegateError
from variegate.pipeline.comparison.jobs import explain


def test_explaining_errors() -> None:
    assert explain(VariegateError("as it is")) == ("as it is", "")
    try:
        raise KeyError("x")
    except KeyError as error:
        message, trace = explain(error)
    assert message == "KeyError: 'x': this is an error in Variegate"
    assert "test_explaining_errors" in trace
