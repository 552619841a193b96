from __future__ import annotations

import pytest
from statsmodels.stats.proportion import proportion_confint

from variegate.proportions import wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 500), (417, 500), (2811, 3080)])
def test_wilson_as_statsmodels_has_it(correct: int, n: int) -> None:
    assert wilson(correct, n) == pytest.approx(proportion_confint(correct, n, method="wilson"), abs=1e-12)
