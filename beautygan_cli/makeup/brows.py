"""Painted brows on other brows: their colour is read off the reference's photo and drawn on the source's own hairs.

The network sees brows as a few soft pixels, and bends them from one face to the other: on brows of another shape a
strong colour lies beside the hairs, in blots. The drawing that it was trained with follows them. Brows in a colour of
hair are the network's, which is nearer to the truth there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import exposure, masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import Brows
from beautygan_cli.types import FloatArray

AROUND = 0.1  # interocular distances around brows in which the network's own paint gives way: it lies beside hairs


@dataclass(frozen=True)
class WornBrows:
    """A reference's brows, L*a*b*, (3,) each: colour, of what is hair or paint; mean, of all, with the skin between."""

    colour: NDArray[np.float64]
    mean: NDArray[np.float64]


def read(face: FaceAnalysis) -> WornBrows | None:
    """The brows of a reference; None where its skin or its brows are out of sight."""

    def work() -> WornBrows | None:
        lab = rgb_to_lab(exposure.lit(face).chip)
        skin = weighted_mean(lab, face.mask(masks.cheeks_mask))
        stroke = face.mask(masks.brows_mask)
        # The less a pixel looks like skin, the more it is hair or paint.
        apart = np.square(lab - skin).sum(axis=-1)
        worn = WornBrows(weighted_mean(lab, np.asarray(stroke * apart, np.float32)), weighted_mean(lab, stroke))
        return worn if np.isfinite(worn.colour).all() else None

    return face.once("brows", work)


def drawn(
    before: FloatArray, after: FloatArray, source: FaceAnalysis, mix: Sequence[tuple[FaceAnalysis, float]]
) -> FloatArray:
    """The network's chip with the brows of a mix of references in place of what it painted there itself.

    before, after: the source's chip as it went into the network and came out, (S, S, 3) RGB 0..255; mix: the references
    and their weights. They are drawn as densely as brings their mean nearest to theirs.
    """
    known = [(brows, weight) for face, weight in mix if (brows := read(face))]
    total = sum(weight for _, weight in known)
    shade = weighted_mean(after - before, source.mask(masks.skin_mask))
    if total <= 0 or not np.isfinite(shade).all():
        return after
    colour, goal = (
        sum(weight * getattr(brows, name) for brows, weight in known) / total for name in ("colour", "mean")
    )
    bare = np.clip(before + shade.astype(np.float32), 0, 255)
    lightness, a, b = (float(value) for value in colour)
    painted = rendering.with_brows(bare, source.landmarks, Brows((lightness, a, b), 1.0))
    stroke = source.mask(masks.brows_mask)
    own, full = (weighted_mean(rgb_to_lab(chip), stroke) for chip in (bare, painted))
    if not np.isfinite(own).all():  # no brows in sight
        return after
    moved = full - own
    amount = float(np.clip((goal - own) @ moved / max(float(moved @ moved), 1e-6), 0, 1))
    zone = drawing.smoothstep(0, 0.5, source.mask(masks.brows_mask, soft=AROUND))[..., None]
    return np.asarray(after + zone * (bare + np.float32(amount) * (painted - bare) - after), dtype=np.float32)
