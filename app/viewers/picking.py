"""What lies under the mouse: plain geometry, no OpenGL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.surfaces import Surface


def hit_point(
    screen: NDArray[np.floating], x: float, y: float, radius_px: float, depth_px: float
) -> int | None:
    """Which ball is seen at a place; None where there is none.

    Parameters
    ----------
    screen : (n, 3) of the balls' middles: pixels from the left and the top, and Å towards the viewer.
    radius_px : of the balls.
    depth_px : Å per pixel, in which a ball bulges towards the viewer.
    """
    away = (screen[:, 0] - x) ** 2 + (screen[:, 1] - y) ** 2
    under = np.flatnonzero(away <= radius_px**2)
    if not under.size:
        return None
    bulge = np.sqrt(radius_px**2 - away[under]) * depth_px
    return int(under[np.argmax(screen[under, 2] + bulge)])


def hit_surface(
    screen: NDArray[np.floating],
    surface: Surface,
    x: float,
    y: float,
    plane: NDArray[np.floating] | None = None,
) -> NDArray[np.float64] | None:
    """The place (3,), Å, where a surface is first hit by the line of sight through a pixel, or None.

    Parameters
    ----------
    screen : (n, 3) of the surface's vertices, as for :func:`hit_point`.
    plane : what it cuts away can't be hit, see :func:`app.viewers.look.clip_plane`.
    """
    if not len(surface.faces):
        return None
    left, below = screen[:, 0] < x, screen[:, 1] < y
    faces = surface.faces
    a, b, c = faces[:, 0], faces[:, 1], faces[:, 2]
    # Only triangles with corners on both sides of the pixel, across and up, can hold it.
    across = (left[a] != left[b]) | (left[a] != left[c])
    chosen = faces[across]
    a, b, c = chosen[:, 0], chosen[:, 1], chosen[:, 2]
    chosen = chosen[(below[a] != below[b]) | (below[a] != below[c])]
    if not len(chosen):
        return None
    corners = screen[chosen]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    dx, dy = x - corners[:, 0, 0], y - corners[:, 0, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (dx * second[:, 1] - dy * second[:, 0]) / area
        v = (first[:, 0] * dy - first[:, 1] * dx) / area
    inside = np.isfinite(u) & np.isfinite(v) & (u >= 0) & (v >= 0) & (u + v <= 1)
    chosen, u, v = chosen[inside], u[inside], v[inside]
    if not len(chosen):
        return None
    corner = surface.vertices[chosen].astype(float)
    places = corner[:, 0] * (1 - u - v)[:, None] + corner[:, 1] * u[:, None] + corner[:, 2] * v[:, None]
    depth = screen[chosen, 2]
    depth = depth[:, 0] * (1 - u - v) + depth[:, 1] * u + depth[:, 2] * v
    if plane is not None:
        depth = np.where(places @ plane[:3] > plane[3], -np.inf, depth)
    best = int(np.argmax(depth))
    return np.asarray(places[best]) if np.isfinite(depth[best]) else None
