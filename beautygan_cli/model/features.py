"""Chips as a model's encoders see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Features:
    """Chips as a model's encoder sees them, from `encode_sources` or `encode_references`.

    arrays: one float32 array for each tensor at which the graph is cut, the first axis of each counting the chips.
    """

    arrays: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return len(self.arrays[0]) if self.arrays else 0

    def __getitem__(self, which: int | slice) -> Features:
        """The features of one chip (a `Features` of length 1) or of a slice of them."""
        if isinstance(which, slice):
            return Features(tuple(array[which] for array in self.arrays))
        return self.take([which])

    def take(self, indices: Sequence[int]) -> Features:
        """The features of these chips, in this order; an index may occur more than once."""
        return Features(tuple(array[list(indices)] for array in self.arrays))

    @staticmethod
    def joined(parts: Sequence[Features]) -> Features:
        """Several features, of the same side of the same model, one after the other. ValueError for none."""
        if len(parts) == 1:
            return parts[0]
        _check_alike(parts)
        return Features(tuple(np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)))

    @staticmethod
    def mixed(parts: Sequence[tuple[Features, float]]) -> Features:
        """The weighted mean of features of the same side of the same model, chip by chip.

        parts: (features, weight) pairs, as many chips in each; the weights, none below 0, are scaled to a sum of 1. A
        part that has all of the weight is given back as it is, to the bit. ValueError for anything else.
        """
        weights = [weight for _, weight in parts]
        total = math.fsum(weights)
        if not parts or not math.isfinite(total) or min(weights) < 0 or total <= 0:
            raise ValueError(f"weights must be 0 or more, with one above 0, but are {weights}")
        _check_alike([features for features, _ in parts])
        if len({len(features) for features, _ in parts}) != 1:
            raise ValueError("features of unequal numbers of chips can't be mixed")
        counted = [(features, np.float32(weight / total)) for features, weight in parts if weight > 0]
        if len(counted) == 1:
            return counted[0][0]
        by_tensor = zip(*(features.arrays for features, _ in counted), strict=True)
        shares = [share for _, share in counted]
        return Features(
            tuple(
                np.asarray(sum(array * share for array, share in zip(arrays, shares, strict=True)), np.float32)
                for arrays in by_tensor
            )
        )


def _check_alike(parts: Sequence[Features]) -> None:
    if len({tuple(array.shape[1:] for array in part.arrays) for part in parts}) != 1:
        raise ValueError("features must be some of the same side of the same model")


def check_features(name: str, features: Features, cut: Sequence[Any]) -> None:
    expected = [tensor.shape.as_list()[1:] for tensor in cut]
    if [list(array.shape[1:]) for array in features.arrays] != expected:
        raise ValueError(f"{name} are features of another model, or of the other side of this one")


def pair_count(sources: int, references: int) -> int:
    """How many pairs so many sources and references make; one of either goes with each of the other."""
    if sources != references and 1 not in (sources, references):
        raise ValueError(f"{sources} sources can't be paired with {references} references")
    return sources if references == 1 else references


def repeated_to(features: Features, part: slice, count: int) -> Features:
    """The features of a part of the pairs; those of a single chip are repeated."""
    if len(features) == count:
        return features[part]
    return features.take([0] * (part.stop - part.start))
