"""A lit triangle mesh for vispy: normals and colours are given, and nothing is worked out when it is set.

vispy's own mesh unrolls its triangles and computes normals on the GUI thread whenever it is given data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy import gloo
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

from app.viewers.look import TERMS

_VERTEX = """
uniform vec3 u_eye;
uniform vec3 u_light;
uniform vec3 u_colour;
uniform float u_coloured;
uniform vec4 u_terms;
uniform float u_wrap;
uniform vec4 u_clip;
uniform vec4 u_ball;
uniform vec4 u_fog;
attribute vec3 a_position;
attribute vec3 a_normal;
attribute vec3 a_colour;
varying vec3 v_colour;
varying float v_cut;

void main() {
    gl_Position = $transform(vec4(a_position, 1.0));
    // Both sides of a surface are lit: where it is cut open, its inside is seen.
    float facing = dot(a_normal, u_eye);
    vec3 normal = facing < 0.0 ? -a_normal : a_normal;
    float diffuse = max((dot(normal, u_light) + u_wrap) / (1.0 + u_wrap), 0.0);
    float shine = pow(max(dot(normal, normalize(u_light + u_eye)), 0.0), 24.0);
    float rim = 1.0 - abs(facing);
    vec3 colour = mix(u_colour, a_colour, u_coloured);
    v_colour = colour * (u_terms.x + u_terms.y * diffuse) * (1.0 - u_terms.w * rim * rim);
    v_colour += vec3(u_terms.z * shine);
    float depth = 0.5 - 0.5 * dot(a_position - u_ball.xyz, u_eye) / u_ball.w;
    v_colour = mix(v_colour, u_fog.rgb, u_fog.a * clamp(depth, 0.0, 1.0));
    v_cut = dot(u_clip.xyz, a_position) - u_clip.w;
}
"""

# Throwing fragments away keeps the rasteriser from skipping hidden ones early: only where it is needed.
_CUT = """
    if (v_cut > 0.0) {
        discard;
    }
"""
_FRAGMENT = """
uniform float u_alpha;
varying vec3 v_colour;
varying float v_cut;

void main() {%s
    gl_FragColor = vec4(v_colour, u_alpha);
}
"""


class SurfaceVisual(Visual):  # type: ignore[misc]
    """Draws triangles lit from over the viewer's left shoulder."""

    def __init__(self) -> None:
        super().__init__(vcode=_VERTEX, fcode=_FRAGMENT % "")
        self._count = 0
        self._draw_mode = "triangles"
        self._index_buffer = gloo.IndexBuffer()
        self._position = gloo.VertexBuffer(np.zeros((1, 3), np.float32))
        self._normal = gloo.VertexBuffer(np.zeros((1, 3), np.float32))
        self._colour = gloo.VertexBuffer(np.zeros((1, 3), np.float32))
        program = self.shared_program
        program["a_position"], program["a_normal"] = self._position, self._normal
        program["a_colour"] = self._colour
        program["u_coloured"], program["u_alpha"] = 0.0, 1.0
        program["u_colour"] = (0.5, 0.5, 0.5)
        program["u_eye"] = program["u_light"] = (0.0, 0.0, 1.0)
        program["u_terms"], program["u_wrap"] = TERMS["soft"][:4], TERMS["soft"][4]
        program["u_clip"], program["u_ball"] = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0)
        program["u_fog"] = (0.0, 0.0, 0.0, 0.0)
        self._cut = False
        self.set_opacity(1.0)
        self.freeze()

    def set_surface(
        self,
        vertices: NDArray[np.float32],
        normals: NDArray[np.float32],
        faces: NDArray[np.uint32],
        colours: NDArray[np.float32] | None = None,
    ) -> None:
        """Show triangles (m, 3) between vertices (n, 3); colours (n, 3) or the one that is set."""
        self._count = len(faces)
        if self._count:
            self._position.set_data(vertices)
            self._normal.set_data(normals)
            self._colour.set_data(np.zeros_like(vertices) if colours is None else colours)
            self._index_buffer.set_data(faces)
        self.shared_program["u_coloured"] = 0.0 if colours is None else 1.0
        self.update()

    def set_colour(self, rgb: tuple[float, float, float]) -> None:
        """The colour where vertices have none."""
        self.shared_program["u_colour"] = rgb
        self.update()

    def set_opacity(self, alpha: float) -> None:
        """1 hides what lies behind; less lets it shine through."""
        self.shared_program["u_alpha"] = alpha
        if alpha < 1:
            # Only what faces the viewer: of two layers in arbitrary order one would look like a fault.
            self.set_gl_state("translucent", depth_test=True, cull_face=True)
        else:
            self.set_gl_state("opaque", depth_test=True, cull_face=False)
        self.update()

    def set_view(self, eye: NDArray[np.floating], light: NDArray[np.floating]) -> None:
        """Unit vectors, in the scene's frame, towards the viewer and towards the light."""
        self.shared_program["u_eye"] = tuple(float(v) for v in eye)
        self.shared_program["u_light"] = tuple(float(v) for v in light)

    def set_light(self, kind: str) -> None:
        """A key of :data:`~app.viewers.look.LIGHTS`."""
        self.shared_program["u_terms"], self.shared_program["u_wrap"] = TERMS[kind][:4], TERMS[kind][4]
        self.update()

    def set_clip(self, plane: NDArray[np.floating] | None) -> None:
        """Cut away where ``plane[:3] @ x > plane[3]``, or nothing (None)."""
        if (plane is not None) != self._cut:
            self._cut = plane is not None
            self.shared_program.frag = _FRAGMENT % (_CUT if self._cut else "")
        if plane is not None:
            self.shared_program["u_clip"] = tuple(float(v) for v in plane)
        self.update()

    def set_fog(
        self,
        colour: tuple[float, float, float],
        strength: float,
        centre_A: NDArray[np.floating],
        radius_A: float,
    ) -> None:
        """Fade what lies at the back of a ball into a colour; strength 0 fades nothing."""
        self.shared_program["u_fog"] = (*colour, strength)
        self.shared_program["u_ball"] = (*(float(c) for c in centre_A), max(1e-3, radius_A))
        self.update()

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = view.transforms.get_transform()

    def _prepare_draw(self, view: Any) -> bool:
        return self._count > 0


Surface = create_visual_node(SurfaceVisual)
