"""How many points a frame may hold, so that drawing never holds the window up."""

from __future__ import annotations

SOFTWARE_NAMES = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "gdi generic")
FEWEST = 512
MOST = 400_000
MOST_SOFTWARE = 6_000
PIXELS_SOFTWARE = 250_000  # a CPU rasterises about 70 pixels of markers per microsecond and core
LIVE_SIZE = 0.6  # of the markers while they move, on a CPU
WARM_UP = 3  # the first frames compile shaders and say nothing about speed


def is_software(renderer: str) -> bool:
    """Whether OpenGL's renderer string names a rasteriser that runs on the CPU."""
    return any(name in renderer.lower() for name in SOFTWARE_NAMES)


class Detail:
    """Adapts the number of points drawn to the time that drawing takes.

    Parameters
    ----------
    target_ms : what one frame may take.
    """

    def __init__(self, target_ms: float = 16.0) -> None:
        self.target_ms = target_ms
        self.limit = MOST_SOFTWARE
        self.software: bool | None = None
        self._frames = 0

    def found(self, renderer: str) -> None:
        """Take note of the renderer; a graphics card starts with everything shown."""
        self.software = is_software(renderer)
        self.limit = MOST_SOFTWARE if self.software else MOST

    def fitting(self, diameter_px: float) -> int:
        """How many moving markers of this diameter a frame may hold."""
        if not self.software:
            return self.limit
        return max(FEWEST // 2, min(self.limit, int(PIXELS_SOFTWARE / max(1.0, 0.8 * diameter_px**2))))

    def drew(self, points: int, milliseconds: float) -> None:
        """Learn from a frame: fewer points if it was slow, slowly more if it was quick."""
        self._frames += 1
        if self._frames <= WARM_UP or points > self.limit:
            return
        most = MOST_SOFTWARE if self.software else MOST
        if milliseconds > self.target_ms and points > FEWEST:
            self.limit = max(FEWEST, int(min(self.limit, points) * max(0.4, self.target_ms / milliseconds)))
        elif milliseconds < self.target_ms / 2 and points >= self.limit:
            self.limit = min(most, int(self.limit * 1.2))
