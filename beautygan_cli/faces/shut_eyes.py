"""Shut eyes: their lids held a little apart, as all that is drawn and bent along them needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.types import FloatArray

SHUT_GAP = 0.06  # units that a lower lid lies below its upper one at least


def parted_lids(landmarks: NDArray[Any]) -> FloatArray:
    """The (68, 2) landmarks with the lower lids of shut eyes put SHUT_GAP below the upper ones, which stay.

    A shut eye's lids are one line. A reference bent onto both at once would show its eyeball on the lid.
    """
    result = np.array(landmarks, dtype=np.float32)
    gap = SHUT_GAP * masks.interocular_distance(landmarks)
    for upper, lower, _ in masks.EYES:
        between = result[upper[-1]] - result[upper[0]]
        down = np.array([-between[1], between[0]]) / max(float(np.hypot(*between)), 1e-6)
        down = down if float(down @ (landmarks[8] - landmarks[27])) > 0 else -down
        for first, second in zip(upper[1:-1], lower[1:-1], strict=True):
            lacking = gap - float((result[second] - result[first]) @ down)
            if lacking > 0:
                result[second] += lacking * down
    return result
