"""Pillow, set up for photos of strangers and for many of them."""

from __future__ import annotations

import logging
import warnings
from typing import Any

BLOCKS_KEPT = 8  # of 16 MB; a photo of 12 megapixels takes three


def prepared_pillow(max_pixels: int = 0) -> Any:
    """Pillow's Image module, able to read HEIC, silent, and with room for `max_pixels`.

    Pillow's limit on pixels, its log, its memory and Python's warning filters belong to the whole process, so they are
    changed by no more than it takes: Pillow refuses a photo at twice its limit, and what somebody else set for the log
    or the memory stays.
    """
    from PIL import Image
    from pillow_heif import register_heif_opener

    if "HEIF" not in Image.OPEN:
        register_heif_opener()
    if logging.getLogger("PIL").level == logging.NOTSET:
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)(\..*)?$")
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)
    prepared: Any = Image
    if not prepared.core.get_blocks_max():  # memory fresh from the system for each photo takes a fifth of the time
        prepared.core.set_blocks_max(BLOCKS_KEPT)
    return prepared
