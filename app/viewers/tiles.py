"""Several clouds and surfaces side by side in one canvas, each seen by its own camera or all by one.

One canvas with one program for points and one for triangles: a vispy view for each tile cost several times as
much on a CPU. Everything here belongs to the GUI thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter, QResizeEvent
from PySide6.QtWidgets import QStackedLayout, QWidget
from vispy import app, gloo

from app.style import LIGHT, Theme
from app.surfaces import EMPTY, Surface
from app.viewers.colours import rgb
from app.viewers.large import check_size
from app.viewers.raster import Picture, renderer
from app.viewers.scene import START, directions
from app.viewers.tile_captions import TileCaptions
from app.viewers.tile_programs import MESH_FRAGMENT, MESH_VERTEX, POINT_FRAGMENT, POINT_VERTEX

GAP = 2
POINT_SHARE = 0.95  # of the distance between neighbours, were the cloud a ball filled evenly
CAPTION_PX = 46  # of a tile's height are left to its words
FRAMING = 2.5  # height of a tile in radii of what it shows


@dataclass(frozen=True)
class Tile:
    """What stands in one place of the page.

    Attributes
    ----------
    key : names it, also in later states of the same list.
    title, caption : first and second line over it.
    badge, badge_state : a remark in the corner, and ``good``, ``warning`` or ``muted``.
    points_A : (n, 3) around the origin, or None.
    colours : (n, 3) of the points, or None for the tile's colour.
    radius_A : what the camera is to show, around the origin.
    colour : #rrggbb.
    tip : everything that is known, for the mouse that rests on it.
    """

    key: str
    title: str
    caption: str = ""
    badge: str = ""
    badge_state: str = "muted"
    points_A: NDArray[np.float32] | None = None
    colours: NDArray[np.float32] | None = None
    radius_A: float = 1.0
    colour: str = "#888888"
    tip: str = ""


@dataclass
class Camera:
    """Orthographic: degrees, and what lies in the middle, Å of the view; zoom 1 shows everything."""

    azimuth: float = START["azimuth"]
    elevation: float = START["elevation"]
    zoom: float = 1.0
    pan: tuple[float, float] = (0.0, 0.0)


@dataclass
class _Place:
    tile: Tile
    camera: Camera = field(default_factory=Camera)
    surface: Surface = EMPTY
    position: Any = None
    colour: Any = None
    vertices: Any = None
    normals: Any = None
    faces: Any = None


class TilesView(QWidget):
    """Draws up to a dozen tiles. Setters only.

    Attributes
    ----------
    linked : whether turning one turns all.
    enlarged : the tile that fills the page, or None.
    marked : the tile that was clicked last, or None.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.linked = True
        self.enlarged: int | None = None
        self.marked: int | None = None
        self.same_scale = True
        self.frame_ms = 0.0
        self._places: list[_Place] = []
        self.canvas = app.Canvas(keys=None, show=False, config={"depth_size": 24})
        software = bool(renderer()) and "llvmpipe" in renderer().lower()
        self.picture = Picture(self.canvas.native, self) if software else None
        if self.picture is None:
            self.canvas.native.setParent(self)
        self.canvas.native._vispy_swap_buffers = lambda: None  # noqa: SLF001 - as in SceneWidget
        self._points = gloo.Program(POINT_VERTEX, POINT_FRAGMENT)
        self._mesh = gloo.Program(MESH_VERTEX, MESH_FRAGMENT)
        self.captions = TileCaptions(self)
        layout = QStackedLayout(self)
        layout.setStackingMode(QStackedLayout.StackingMode.StackAll)
        layout.addWidget(self.picture or self.canvas.native)
        layout.addWidget(self.captions)
        layout.setCurrentWidget(self.captions)
        self.canvas.events.draw.connect(self._draw_frame)
        self.setMinimumSize(240, 200)

    # ---- what is shown --------------------------------------------------------------------------

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """What stands where."""
        return tuple(place.tile for place in self._places)

    def set_tiles(self, tiles: Sequence[Tile]) -> None:
        """Show these; a tile whose key was there keeps its camera and its surface."""
        known = {place.tile.key: place for place in self._places}
        first = self._places[0].camera if self._places else Camera()
        places = []
        for tile in tiles:
            place = known.pop(tile.key, None) or _Place(tile, replace(first) if self.linked else Camera())
            self._take(place, tile)
            places.append(place)
        keys = [tile.key for tile in tiles]
        for name in ("enlarged", "marked"):
            at = getattr(self, name)
            key = self._places[at].tile.key if at is not None and at < len(self._places) else None
            setattr(self, name, keys.index(key) if key in keys else None)
        self._places = places
        self.refresh()

    def set_surface(self, key: str, surface: Surface) -> None:
        """Show a surface in the tile of this key, if it is still there."""
        for place in self._places:
            if place.tile.key == key:
                place.surface = surface
                if len(surface.faces):
                    place.vertices = gloo.VertexBuffer(surface.vertices)
                    place.normals = gloo.VertexBuffer(surface.normals)
                    place.faces = gloo.IndexBuffer(surface.faces)
                self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.theme = theme
        self.refresh()

    def refresh(self) -> None:
        """Draw again, words and all."""
        self.captions.show_tiles(self)
        self.canvas.update()

    # ---- cameras --------------------------------------------------------------------------------

    def camera(self, index: int = 0) -> Camera:
        """The camera of a tile."""
        return self._places[index].camera

    def turn(self, index: int, azimuth: float, elevation: float) -> None:
        """Turn a tile by degrees, and all with it if they are linked."""
        camera = self._places[index].camera
        camera.azimuth = (camera.azimuth + azimuth + 180) % 360 - 180
        camera.elevation = float(np.clip(camera.elevation + elevation, -90, 90))
        self._spread(index)

    def look(self, azimuth: float, elevation: float) -> None:
        """Turn every tile into this direction."""
        for place in self._places:
            place.camera.azimuth, place.camera.elevation = azimuth, elevation
        self.refresh()

    def zoom(self, index: int, factor: float) -> None:
        """Enlarge what a tile shows."""
        camera = self._places[index].camera
        camera.zoom = float(np.clip(camera.zoom * factor, 0.1, 40))
        self._spread(index)

    def pan(self, index: int, right_px: float, down_px: float) -> None:
        """Move what a tile shows by logical pixels."""
        camera, scale = self._places[index].camera, self.A_per_pixel(index)
        camera.pan = (camera.pan[0] - right_px * scale, camera.pan[1] + down_px * scale)
        self._spread(index)

    def set_linked(self, on: bool) -> None:
        """Link the cameras (all take the marked tile's, or the first's) or let them go."""
        self.linked = on
        if on and self._places:
            self._spread(self.marked or 0)

    def reset(self) -> None:
        """Show everything, from the first direction."""
        for place in self._places:
            place.camera = Camera()
        self.refresh()

    def mark(self, index: int | None) -> None:
        """Mark a tile."""
        self.marked = index
        self.refresh()

    def enlarge(self, index: int | None) -> None:
        """Let one tile fill the page, or show all again."""
        self.enlarged = index
        self.refresh()

    def A_per_pixel(self, index: int, box: QRectF | None = None) -> float:
        """Å per logical pixel in a tile, as it is here or in another box."""
        box = self.box(index) if box is None else box
        return self._height_A(index) / max(1.0, min(box.width(), box.height() - CAPTION_PX))

    def box(self, index: int) -> QRectF:
        """Where a tile is, logical pixels of this widget; empty if it is hidden."""
        return self.boxes(float(self.width()), float(self.height()))[index]

    def at(self, x: float, y: float) -> int | None:
        """Which tile is at a place."""
        for index, box in enumerate(self.boxes(float(self.width()), float(self.height()))):
            if box.contains(x, y):
                return index
        return None

    # ---- pictures -------------------------------------------------------------------------------

    def screenshot(self) -> QImage:
        """The page with its words, in the window's resolution."""
        ratio = float(self.canvas.pixel_scale)
        return self.rendered(round(self.width() * ratio), round(self.height() * ratio))

    def rendered(
        self, width: int, height: int, *, transparent: bool = False, bar: bool = True, words: bool = True
    ) -> QImage:
        """The page as a picture of any size, pixels.

        Raises
        ------
        InputError
            If this computer's OpenGL can't.
        """
        self.canvas.set_current()
        ratio = min(width / max(1, self.width()), height / max(1, self.height()))
        check_size(width, height, self._widest_point(width, height, ratio))
        buffer = gloo.FrameBuffer(gloo.RenderBuffer((height, width)), gloo.RenderBuffer((height, width)))
        with buffer:
            self._draw(width, height, ratio, clear=transparent)
            pixels = np.ascontiguousarray(buffer.read("color"))
        buffer.delete()
        kind = QImage.Format.Format_RGBA8888_Premultiplied
        image = QImage(pixels.data, width, height, 4 * width, kind).copy()
        if words or bar:
            image.setDevicePixelRatio(ratio)
            painter = QPainter(image)
            theme = LIGHT if transparent else self.theme  # what is clear is put on light paper
            self.captions.draw(
                painter, self, width / ratio, height / ratio, bar=bar, words=words, theme=theme
            )
            painter.end()
            image.setDevicePixelRatio(1.0)
        return image

    def release(self) -> None:
        """Give the canvas back."""
        if self.picture is not None:
            self.picture.stop()
            self.canvas.native.deleteLater()
        self.canvas.close()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the words anew."""
        super().resizeEvent(event)
        self.refresh()

    # ---- inside ---------------------------------------------------------------------------------

    def _take(self, place: _Place, tile: Tile) -> None:
        old, place.tile = place.tile, tile
        points = tile.points_A
        if points is None:
            place.position = None
            return
        if place.position is None or points is not old.points_A or tile.colour != old.colour:
            place.position = gloo.VertexBuffer(np.ascontiguousarray(points, np.float32))
            colours = np.tile(np.array(rgb(tile.colour), np.float32), (len(points), 1))
            place.colour = gloo.VertexBuffer(
                colours if tile.colours is None else np.ascontiguousarray(tile.colours, np.float32)
            )

    def _spread(self, index: int) -> None:
        if self.linked:
            for place in self._places:
                place.camera = replace(self._places[index].camera)
        self.refresh()

    def boxes(self, width: float, height: float) -> list[QRectF]:
        """Where the tiles are on a page of this size."""
        count = len(self._places)
        if self.enlarged is not None:
            whole = QRectF(0, 0, width, height)
            return [whole if i == self.enlarged else QRectF() for i in range(count)]
        columns = best_columns(count, width, height)
        rows = -(-count // max(1, columns))
        w, h = (width - GAP * (columns - 1)) / max(1, columns), (height - GAP * (rows - 1)) / max(1, rows)
        return [QRectF((i % columns) * (w + GAP), (i // columns) * (h + GAP), w, h) for i in range(count)]

    def _height_A(self, index: int) -> float:
        places = self._places if self.same_scale else [self._places[index]]
        radius = max(place.tile.radius_A for place in places)
        return FRAMING * radius / self._places[index].camera.zoom

    def _widest_point(self, width: float, height: float, ratio: float) -> float:
        """Diameter of the largest point of a picture, pixels."""
        found = 0.0
        for index, box in enumerate(self.boxes(width / ratio, height / ratio)):
            tile = self._places[index].tile
            if tile.points_A is not None and not box.isEmpty():
                found = max(found, self._point_A(tile) * self._per_A(index, box, ratio))
        return found

    def _point_A(self, tile: Tile) -> float:
        count = max(1, len(tile.points_A)) if tile.points_A is not None else 1
        return float(POINT_SHARE * tile.radius_A * count ** (-1 / 3))

    def _per_A(self, index: int, box: QRectF, ratio: float) -> float:
        """Real pixels for an Å."""
        return max(1.0, min(box.width(), box.height() - CAPTION_PX) * ratio) / self._height_A(index)

    def _draw_frame(self, _event: Any) -> None:
        begun = time.perf_counter()
        width, height = self.canvas.physical_size
        self._draw(width, height, float(self.canvas.pixel_scale))
        if self.picture is not None:
            gloo.finish()  # the rasteriser is lazy
        self.frame_ms = (time.perf_counter() - begun) * 1e3

    def _draw(self, width: int, height: int, ratio: float, *, clear: bool = False) -> None:
        """Draw into the present buffer of this size in real pixels."""
        gloo.set_viewport(0, 0, width, height)
        gloo.set_state(depth_test=True, blend=False, cull_face=False, scissor_test=False)
        # A last row that isn't full would otherwise show a slab in the colour of the lines.
        columns = best_columns(len(self._places), width, height)
        full = self.enlarged is not None or not self._places or len(self._places) % columns == 0
        gap = (0.0, 0.0, 0.0, 0.0) if clear else (*rgb(self.theme.border if full else self.theme.window), 1.0)
        gloo.clear(color=gap, depth=True)
        gloo.set_state(scissor_test=True)
        for index, box in enumerate(self.boxes(width / ratio, height / ratio)):
            if box.isEmpty():
                continue
            left, right = round(box.left() * ratio), round(box.right() * ratio)
            bottom, top = height - round(box.bottom() * ratio), height - round(box.top() * ratio)
            gloo.set_viewport(left, bottom, right - left, top - bottom)
            gloo.set_scissor(left, bottom, right - left, top - bottom)
            gloo.clear(color=(0, 0, 0, 0) if clear else (*rgb(self.theme.canvas), 1.0), depth=True)
            self._draw_tile(self._places[index], index, right - left, top - bottom, ratio)
        gloo.set_state(scissor_test=False)

    def _draw_tile(self, place: _Place, index: int, width: int, height: int, ratio: float) -> None:
        camera, tall_A = place.camera, self._height_A(index)
        per_A = max(1.0, min(width, height - CAPTION_PX * ratio)) / tall_A  # real pixels
        axes = np.array(directions(camera.azimuth, camera.elevation), np.float32)
        scale = (2 * per_A / width, 2 * per_A / height, 1 / (8 * max(1.0, tall_A * camera.zoom)))
        # The words take the top: what is shown sits in the middle of the rest.
        pan = (camera.pan[0], camera.pan[1] + CAPTION_PX * ratio / 2 / per_A)
        for program in (self._points, self._mesh):
            program["u_axes"] = axes.T.reshape(-1)  # column after column
            program["u_scale"], program["u_pan"] = scale, pan
        if place.position is not None and place.tile.points_A is not None:
            self._points["u_size"] = max(1.5, self._point_A(place.tile) * per_A)
            self._points["a_position"], self._points["a_colour"] = place.position, place.colour
            self._points.draw("points")
        elif len(place.surface.faces):
            self._mesh["u_colour"] = rgb(place.tile.colour)
            self._mesh["a_position"], self._mesh["a_normal"] = place.vertices, place.normals
            self._mesh.draw("triangles", place.faces)


def best_columns(count: int, width: float, height: float) -> int:
    """In how many columns tiles come out largest."""
    return max(
        range(1, max(1, count) + 1),
        key=lambda columns: (min(width / columns, height / -(-max(1, count) // columns)), -columns),
    )
