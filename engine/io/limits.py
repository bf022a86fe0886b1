"""How large an input may be. Beyond these sizes a file is damaged, hostile, or not for this program."""

from __future__ import annotations

MAX_EDGE = 65_535
"""Voxels or pixels along one axis; the largest that a plausible MRC header holds."""

MAX_VOXELS = 1024**3
"""Voxels of one map or pixels of one stack: 4 GiB as float32."""

MAX_TEXT_BYTES = 1 << 30
"""Bytes of a structure or STAR file after decompression."""

MAX_POINT_TEXT_BYTES = 128 << 20
"""Bytes of a CSV file after decompression."""

MAX_TEXT_EXPANSION = 40
"""Coordinates and tables compress 4 to 15 times; text that expands further is a decompression bomb."""

MIN_TEXT_BUDGET = 8 << 20
"""Small gzipped files may expand to this size whatever the ratio."""

MAX_POINTS = 1_000_000
"""Points of one point set."""

MAX_COORDINATE_A = 1e5
"""Largest believable coordinate, Å: ten micrometres."""

PIXEL_SIZE_RANGE_A = (0.05, 100.0)
"""Believable pixel and voxel sizes, Å."""
