"""Dim photos: the network sees them as bright as others, and the makeup that it gives is as dim as they are.

Red lipstick on a face in the dark is a dark red; a network that was shown well lit photos alone paints it as bright as
on those, and it glows. How dark a face is says little of its light, since skins differ. The whites of the eyes don't,
but for the light that a pale skin throws on them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.imaging import drawing
from beautygan_cli.types import FloatArray

# Grey levels that the brightest part of open eyes has at least in a well lit photo, where it is so many times as bright
# as the skin. Of 244 studio photos of all skins three lie below, by a tenth at most.
LIT_EYES = ((0.9, 1.3), (112.0, 92.0))
BRIGHTEST = 95  # percentile of the eyes' pixels that is their brightest part
LEAST_SEEN = 0.02  # of the squared distance of the eyes, that they fill together when open; less says nothing
NOISE = 1.0  # pixels of the chip over which it is averaged for that
MOST = 2.2  # times: darker photos are taken for no darker, they have more noise than light
LIGHTEST_SKIN = 215.0  # grey levels that well lit skin has at most: eyes that seem darker are shut, or in makeup
SHOULDER = 225.0  # grey levels above which what is brightened is compressed in place of clipped


def exposure(face: FaceAnalysis) -> float | None:
    """Times, 1 to MOST, by which the face must be brightened to be well lit; None where its eyes are shut or hidden."""
    import cv2

    eyes = face.mask(masks.openings_mask, soft=0) > 0.5
    if eyes.sum() < LEAST_SEEN * masks.interocular_distance(face.landmarks) ** 2:
        return None
    # Noise alone would have bright pixels.
    brightness = drawing.blur(reduce(cv2.max, cv2.split(face.chip)).astype(np.float32), NOISE)
    skin = face.mask(masks.skin_mask) > 0.5
    own = max(1.0, float(np.percentile(brightness[eyes], BRIGHTEST)))
    if not skin.any():
        return float(np.clip(LIT_EYES[1][1] / own, 1, MOST))
    of_skin = max(1.0, float(np.median(brightness[skin])))
    most = np.clip(LIGHTEST_SKIN / of_skin, 1, MOST)
    return float(np.clip(np.interp(own / of_skin, *LIT_EYES) / own, 1, most))


def lit(face: FaceAnalysis) -> FaceAnalysis:
    """The face as it would be well lit, by its own `exposure` where that is set; the same object where it is lit."""
    return face.once("lit", lambda: _lit(face)) or face


def _lit(face: FaceAnalysis) -> FaceAnalysis | None:
    """The brightened face; None where it needs none."""
    times = face.exposure or exposure(face) or 1.0
    if times == 1:
        return None
    bright = face.chip.astype(np.float32) * np.float32(times)
    room = 255 - SHOULDER
    soft = np.where(bright > SHOULDER, SHOULDER + room * np.tanh((bright - SHOULDER) / room), bright)
    return replace(face, chip=np.rint(soft).astype(np.uint8), exposure=times)


def dimmed(own: FloatArray, bright: FaceAnalysis, network_input: FloatArray, made_up: FloatArray) -> FloatArray:
    """The made-up chip in the photo's own light: `own` with the change that the network made, as much dimmer.

    bright: the face as `lit` gave it; the chips are (S, S, 3) RGB 0..255.
    """
    return np.asarray(own + (made_up - network_input) / np.float32(bright.exposure or 1.0), dtype=np.float32)
