"""Values as people write them, by hand."""

from __future__ import annotations

from variegate.report.page import breakable, duration, number, percent, token


def test_values_as_people_write_them() -> None:
    assert [number(value) for value in (0, 7, 1234, 4321.5, 0.12345, None)] == ["0", "7", "1,234", "4,322", "0.123", "–"]
    assert [percent(share) for share in (0, 1, 0.5, 0.0123, 0.0001)] == ["0 %", "100 %", "50 %", "1.2 %", "< 0.1 %"]
    assert [duration(seconds) for seconds in (0.5, 93, 600, 36_000, None)] == ["0.5 s", "93 s", "10 min", "10 h", "–"]
    assert token(" a\n\tb") == "␣a⏎⇥b"


def test_a_name_may_break_behind_its_underscores_and_is_escaped() -> None:
    assert str(breakable("card_not_<b>_&")) == "card_<wbr>not_<wbr>&lt;b&gt;_<wbr>&amp;"
