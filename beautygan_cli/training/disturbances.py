"""What changes a face's look in a photo and hides nothing of it: paint, shine, shade, light and the camera."""

from __future__ import annotations

import numpy as np

from beautygan_cli.faces import masks
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.drawing import blur, smoothstep
from beautygan_cli.types import FloatArray


def eye_paint(pixels: FloatArray, landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A black or coloured lid with a hard edge and a wing, as cat-eyes and stage makeup have it: not a cover."""
    shape = (pixels.shape[0], pixels.shape[1])
    dark = rng.uniform(0, 45, 3) if rng.random() < 0.75 else rng.uniform(0, 255, 3)
    height, wing, below = rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.7), rng.uniform(0, 0.25) * (rng.random() < 0.4)
    for grid in masks.eye_grids(landmarks, shape, whole=True):
        top = height * smoothstep(-0.1, 0.3, grid.u) * smoothstep(1 + wing, 0.9, grid.u)
        drawn = (grid.above > -0.02) & (grid.above < top) | (
            (grid.below < 0.02) & (grid.below > -below) & (grid.u > 0) & (grid.u < 1.1)
        )
        drawn &= (grid.u > -0.08) & (grid.u < 1 + wing)
        mask = blur(drawn.astype(np.float32) * (1 - grid.opening), rng.uniform(0.4, 2.5)) * rng.uniform(0.6, 1.0)
        light = pixels.mean(axis=2, keepdims=True)
        texture = pixels * 0 + dark.astype(np.float32) + 0.25 * (light - blur(light[..., 0], 4.0)[..., None])
        pixels = pixels + mask[..., None] * (texture - pixels)
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.float32)


def face_paint(pixels: FloatArray, landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Stripes, dots and patches of paint anywhere on the face; pores and light show through: not a cover."""
    shape = (pixels.shape[0], pixels.shape[1])
    interocular = masks.interocular_distance(landmarks)
    outlines = []
    size = rng.uniform(0.01, 0.3)
    for _ in range(int(rng.integers(1, 7))):
        place = landmarks[int(rng.integers(0, 68))] * 0.6 + landmarks[30] * 0.4 + rng.normal(0, 0.25 * interocular, 2)
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        stretch = rng.uniform(0.3, 3.0)
        turn = rng.uniform(0, np.pi)
        x, y = size * interocular * stretch * np.cos(angle), size * interocular / stretch * np.sin(angle)
        outlines.append(
            place + np.column_stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)])
        )
    mask = drawing.fill(shape, *outlines, soft=rng.uniform(0.3, 3.0)) * masks.face_mask(landmarks, shape)
    mask *= 1 - masks.openings_mask(landmarks, shape)
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    light = blur(pixels, 6.0).mean(axis=2, keepdims=True) / 160
    detail = pixels.mean(axis=2, keepdims=True) - blur(pixels, 3.0).mean(axis=2, keepdims=True)
    painted = colour * np.clip(light, 0.3, 1.3) + detail
    return np.asarray(
        np.clip(pixels + mask[..., None] * rng.uniform(0.5, 1.0) * (painted - pixels), 0, 255), np.float32
    )


def shine(pixels: FloatArray, landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Shine on forehead, nose or cheeks, as a flash leaves it."""
    size = masks.interocular_distance(landmarks)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    total = np.zeros(rows.shape, dtype=np.float32)
    for _ in range(int(rng.integers(1, 5))):
        place = landmarks[int(rng.choice([29, 30, 8, 2, 14, 19, 24]))] + rng.normal(0, 0.15 * size, 2)
        if rng.random() < 0.4:
            place = place - [0, 0.5 * size]
        reach = rng.uniform(0.06, 0.3, 2) * size
        total += rng.uniform(0.2, 1.0) * np.exp(
            -(((columns - place[0]) / reach[0]) ** 2 + ((rows - place[1]) / reach[1]) ** 2)
        )
    strength = np.clip(total, 0, 1) * masks.face_mask(landmarks, rows.shape) * rng.uniform(0.2, 0.7)
    return np.asarray(pixels + strength[..., None] * (np.float32(250) - pixels), dtype=np.float32)


def shaded(pixels: FloatArray, landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Shade beside the nose, in the sockets, under the lip and along a cheek, its edge sharp or soft: not a cover."""
    shape = (pixels.shape[0], pixels.shape[1])
    interocular = masks.interocular_distance(landmarks)
    mask = np.zeros(shape, dtype=np.float32)
    side = int(rng.choice([-1, 1]))
    ridge, wing = landmarks[27:31], landmarks[35 if side > 0 else 31]
    beside = np.stack(
        [ridge[0], ridge[1], ridge[3], wing, (wing + ridge[1]) / 2 + np.array([side * 0.12 * interocular, 0])]
    )
    eyes = [landmarks[eye] for eye in (masks.LEFT_EYE, masks.RIGHT_EYE)]
    reaching = rng.uniform(0, 0.8) * (landmarks[54 if side > 0 else 48] - wing)
    beside = np.concatenate([beside, (wing + reaching + np.array([side * rng.uniform(0, 0.3) * interocular, 0]))[None]])
    places = [beside + rng.normal(0, 0.05 * interocular, beside.shape)]
    for eye, brow in zip(eyes, (landmarks[17:22], landmarks[22:27]), strict=True):
        places.append(np.concatenate([brow, eye[[0, 3]] + rng.normal(0, 0.08 * interocular, (2, 2))]))
    places.append(
        np.concatenate([landmarks[55:60], landmarks[55:60] + np.array([0, rng.uniform(0.05, 0.3) * interocular])])
    )
    for place in places:
        if rng.random() < 0.45:
            import cv2

            outline = cv2.convexHull(place.astype(np.float32))[:, 0]
            one = drawing.fill(
                shape, drawing.smooth_curve(outline, closed=True), soft=rng.uniform(0.008, 0.06) * interocular
            )
            mask = np.maximum(mask, one * rng.uniform(0.3, 0.85))
    warm = np.array([0.9, 1.0, 1.05], np.float32)  # the red of the skin is what is left of it in shade
    return np.asarray(pixels * (1 - mask[..., None] * warm * np.float32(0.95)), dtype=np.float32).clip(0, 255)


def lit(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Any light and any camera's tone curve: bright, dim, warm, from a side, through a blind, in black and white."""
    size = pixels.shape[0]
    value = np.clip(pixels / 255, 0, 1) ** np.exp(rng.normal(0, 0.2))
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * columns + np.sin(angle) * rows
    field = 1 + rng.normal(0, 0.3) * across
    if rng.random() < 0.35:  # a hard light from a side: one part falls into shade
        edge, soft = rng.normal(0, 0.15), rng.uniform(0.02, 0.3)
        bend = rng.normal(0, 0.5) * (np.sin(angle) * columns - np.cos(angle) * rows) ** 2
        field = field * (1 - rng.uniform(0.15, 0.75) * smoothstep(edge - soft, edge + soft, across + bend))
    tint = np.exp(rng.normal(0, 0.08, 3)) * np.exp(rng.normal(-0.05, 0.15))
    value = value * field[..., None] * tint
    value = (value - 0.5) * np.exp(rng.normal(0, 0.12)) + 0.5
    grey = value @ np.array([0.299, 0.587, 0.114])
    saturation = 0.0 if rng.random() < 0.04 else np.exp(rng.normal(0, 0.2))
    value = grey[..., None] + (value - grey[..., None]) * saturation
    return np.asarray(np.clip(value, 0, 1) * 255, dtype=np.float32)


def camera(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blur or sharpening, noise and JPEG."""
    import cv2

    if rng.random() < 0.3:
        pixels = blur(pixels, float(rng.uniform(0.4, 1.3)))
    elif rng.random() < 0.3:
        pixels = pixels + np.float32(rng.uniform(0.2, 1.0)) * (pixels - blur(pixels, 1.0))
    pixels = pixels + rng.normal(0, rng.uniform(0, 5), (*pixels.shape[:2], 1)).astype(np.float32)
    if rng.random() < 0.25:
        coded = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", coded, quality)[1], cv2.IMREAD_COLOR)
        pixels = np.asarray(decoded, dtype=np.float32)
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.float32)
