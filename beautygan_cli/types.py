"""Arrays and boxes by the names that the packages share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]
Box = tuple[slice, slice]  # rows and columns of a picture
