from __future__ import annotations

import pytest

from variegate import errors
from variegate.errors import VariegateError, nearest


def test_exit_codes_are_those_the_command_line_promises() -> None:
    codes = {cls.__name__: cls.exit_code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, VariegateError)}
    assert codes == {
        "VariegateError": 1,
        "BackendError": 1,
        "StoreError": 1,
        "UsageError": 2,
        "ConfigError": 2,
        "ShortfallError": 3,
        "Interrupted": 130,
    }


@pytest.mark.parametrize(
    ("name", "end"),
    [("temprature", "; did you mean 'temperature'?"), ("top-p", "; did you mean 'top_p'?"), ("zzz", "."), ("", ".")],
)
def test_nearest_name(name: str, end: str) -> None:
    assert nearest(name, ["temperature", "top_p", "top_k"]) == end
    assert nearest(name, []) == "."
