"""Whether two photos show one person: dlib's face descriptors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces.alignment import align
from beautygan_cli.faces.dlib_models import load, network_lock
from beautygan_cli.faces.face import Face
from beautygan_cli.types import UInt8Array


def descriptor(pixels: UInt8Array, face: Face) -> NDArray[np.float64]:
    """Dlib's 128 numbers that tell people apart: two photos of one person lie within about 0.6 of each other."""
    import dlib

    # dlib's own 150-pixel chip at its default padding, cut from a copy that is not larger than need be.
    aligned = align(pixels, face, size=150, padding=0.25)
    network = load("dlib_face_recognition_resnet_model_v1.dat", dlib.face_recognition_model_v1)
    with network_lock:
        return np.asarray(network.compute_face_descriptor(np.ascontiguousarray(aligned.chip)), dtype=np.float64)
