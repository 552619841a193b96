"""The interval of a share. Knows counts alone."""

from __future__ import annotations

import math

_Z = 1.959963984540054  # the normal distribution's 97.5th percentile


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, within [0, 1]: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). of >= 1.

    Reference: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927.
    """
    share, z2 = count / of, _Z**2
    centre = share + z2 / (2 * of)
    half = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (centre - half) / (1 + z2 / of)), min(1.0, (centre + half) / (1 + z2 / of))
