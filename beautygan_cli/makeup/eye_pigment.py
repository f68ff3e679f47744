"""How much pigment lies where around an eye, read off a photo by a small network.

It is shown the eye as the layer lays it out (see `eye_layer.py`), every face in the same coordinates. It was trained on
makeup drawn on bare faces, for which the pigment is known exactly (`training/eye_pigment.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.imaging.colour import log_light
from beautygan_cli.model.frozen import FrozenNetwork, bundled
from beautygan_cli.types import FloatArray

ACROSS, UP = (-0.45, 1.75), (-0.45, 1.05)  # u and v that a layer holds
SHAPE = (144, 208)  # cells of what the network sees: 95 to an eye's width
HINTS = 7  # channels that say where a cell lies, and what the makeup model's removal takes off there
BATCH = 8  # eyes in a run at most: more gain nothing on two cores and take more memory
SPREAD = 1.5  # the usual range of light around the cheeks', as a logarithm: the network sees values of about 1
RIM = 0.012  # eye widths: the cells next to the lids' rims


def coordinates(shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """The u of a layer's columns, (W,), and the v of its rows, (H,), from the top down, in eye widths."""
    u = np.linspace(*ACROSS, shape[1], dtype=np.float32)
    return u, np.linspace(UP[1], UP[0], shape[0], dtype=np.float32)


def network_input(
    worn: NDArray[Any], cheeks: NDArray[Any], room: NDArray[Any], removed: NDArray[Any]
) -> tuple[FloatArray, FloatArray]:
    """What the network is fed for eyes.

    Arguments:
        worn: (N, *SHAPE, 3) RGB 0..255, the eyes' cells.
        cheeks: (N, 3) the mean of `log_light` over the face's cheeks: light and foundation cancel by it.
        room: (N, W) eye widths from the lid to the brow, at each column.
        removed: (N, *SHAPE, 3) the density that the makeup model's removal takes off; soft, and right where it is soft.

    Returns:
        The cells relative to the cheeks, (N, *SHAPE, 3), and what is known of them, (N, *SHAPE, HINTS): u, v, v as a
        share of the room, whether at a rim, and what is removed; float32.
    """
    relative = (log_light(worn) - cheeks[:, None, None, :].astype(np.float32)) / np.float32(SPREAD)
    u, v = coordinates(SHAPE)
    hints = np.empty((len(worn), *SHAPE, HINTS), dtype=np.float32)
    hints[..., 0] = u
    hints[..., 1] = v[:, None]
    hints[..., 2] = np.clip(v[:, None] / np.maximum(room, 0.1)[:, None, :], -2, 3)
    hints[..., 3] = (np.abs(v) < RIM)[:, None]
    hints[..., 4:] = removed
    return np.asarray(relative, dtype=np.float32), hints


@lru_cache(maxsize=1)
def _of_the_package() -> FrozenNetwork:
    return FrozenNetwork(bundled("eye_pigment"), ((*SHAPE, 3), (*SHAPE, HINTS)), {"made_up": (*SHAPE, 3)})


def prepare() -> None:
    """Load the network now, not at the first eye. ModelError where it can't be."""
    _of_the_package().prepare()


def read(worn: NDArray[Any], cheeks: NDArray[Any], room: NDArray[Any], removed: NDArray[Any]) -> FloatArray:
    """The density of pigment at the cells of eyes, (N, *SHAPE, 3) float32; arguments as of `network_input`.

    Density is the natural logarithm of what each of linear red, green and blue is divided by; below 0 where the
    pigment is brighter than the skin. Raises ModelError when the network can't be loaded.
    """
    network = _of_the_package()
    relative, hints = network_input(worn, cheeks, room, removed)
    parts = [slice(start, start + BATCH) for start in range(0, len(worn), BATCH)]
    found = [network.run("made_up", {"source": relative[part], "reference": hints[part]}) for part in parts]
    return np.concatenate(found)
