"""Before and after: the right numbers side by side, subtracted only where they mean the same."""

from __future__ import annotations

import copy
from typing import Any

from variegate.report.before_after import before_after


def changed(measurement: dict[str, Any], factor: float, n: int) -> dict[str, Any]:
    after = copy.deepcopy(measurement)
    for side in ("set", "pair"):
        for value in after["pooled"][side]:
            value["value"] *= factor
            value["n"] = n if value["n"] == 1200 else value["n"]
    return after


def rows(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    found = before_after(before, after)
    assert found is not None
    return {row["title"]: row for row in found["rows"]}


def test_by_hand(measurement: dict[str, Any]) -> None:
    found = rows(measurement, changed(measurement, 0.9, 1071))
    clique = found["Remote-Clique"]
    assert [cell["value"] for cell in clique["cells"]] == ["0.9393", "0.8454"]
    assert [cell["n"] for cell in clique["cells"]] == [1200, 1071]
    assert [cell["share"] for cell in clique["cells"]] == [1.0, 0.9]
    assert clique["change"] == "−0.0939"
    assert clique["with_n"] == "stays"
    assert found["Coverage"]["change"] == "−4.6 points"
    assert found["Chamfer"]["with_n"] == "falls"
    assert found["Vocabulary"]["change"] == "−328"
    assert found["Top-5 similarity"]["cells"][0]["value"] == "0.773990"  # of the whole set, not of the drawn part


def test_other_distances_encoders_and_references_are_not_subtracted(measurement: dict[str, Any]) -> None:
    after = changed(measurement, 0.9, 1071)
    after["reference"]["n"] = 200
    for value in after["pooled"]["set"]:
        if value["metric"] == "remote_clique":
            value["distance"] = "euclidean"
        if value["metric"] == "chamfer":
            value["encoder"] = "another"
    found = rows(measurement, after)
    for title in ("Remote-Clique", "Chamfer", "Mean cross-set distance", "Top-5 similarity", "Coverage"):
        assert found[title]["change"] == "", title
        assert None not in found[title]["cells"]
    assert found["Distinct-2"]["change"] == "−0.0689"
    assert before_after(measurement, after)["same_reference"] is False  # type: ignore[index]


def test_what_one_side_lacks_is_a_gap(measurement: dict[str, Any]) -> None:
    after = changed(measurement, 0.9, 1071)
    after["pooled"]["pair"] = []
    assert rows(measurement, after)["Coverage"]["cells"][1] is None
    assert rows(after, measurement)["Coverage"]["cells"][0] is None
    assert rows(after, measurement)["Coverage"]["change"] == ""
    assert before_after({}, {}) is None
    assert before_after({"pooled": 3}, {"pooled": {"set": None}}) is None
