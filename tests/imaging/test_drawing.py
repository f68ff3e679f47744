"""Masks drawn from outlines."""

from __future__ import annotations

import numpy as np

from beautygan_cli.imaging import drawing


def test_smooth_curve_goes_through_its_points() -> None:
    points = np.array([[0, 0], [10, 4], [20, -3], [30, 8]], dtype=float)
    curve = drawing.smooth_curve(points, steps=8)
    assert np.allclose(curve[::8], points, atol=1e-5)
    closed = drawing.smooth_curve(points, closed=True, steps=8)
    assert np.allclose(closed[::8], points, atol=1e-5)
