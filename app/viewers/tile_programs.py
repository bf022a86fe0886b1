"""What the graphics card runs for the tiles: shaded points and shaded triangles."""

POINT_VERTEX = """
uniform mat3 u_axes;
uniform vec3 u_scale;
uniform vec2 u_pan;
uniform float u_size;
attribute vec3 a_position;
attribute vec3 a_colour;
varying vec3 v_colour;
void main() {
    vec3 p = u_axes * a_position;
    gl_Position = vec4((p.xy - u_pan) * u_scale.xy, -p.z * u_scale.z, 1.0);
    gl_PointSize = u_size;
    v_colour = a_colour * (0.82 + 0.18 * clamp(p.z * u_scale.z * 2.5, -1.0, 1.0));
}
"""

POINT_FRAGMENT = """
varying vec3 v_colour;
void main() {
    vec2 q = 2.0 * gl_PointCoord - 1.0;
    float r = dot(q, q);
    if (r > 1.0) discard;
    float lit = 0.55 + 0.45 * clamp(0.83 * sqrt(1.0 - r) - 0.35 * q.x - 0.43 * q.y, 0.0, 1.0);
    gl_FragColor = vec4(v_colour * lit, 1.0);
}
"""

MESH_VERTEX = """
uniform mat3 u_axes;
uniform vec3 u_scale;
uniform vec2 u_pan;
uniform vec3 u_colour;
attribute vec3 a_position;
attribute vec3 a_normal;
varying vec3 v_colour;
void main() {
    vec3 p = u_axes * a_position;
    gl_Position = vec4((p.xy - u_pan) * u_scale.xy, -p.z * u_scale.z, 1.0);
    vec3 n = u_axes * a_normal;
    if (n.z < 0.0) n = -n;
    float diffuse = max(dot(n, normalize(vec3(-0.45, 0.55, 1.0))), 0.0);
    float rim = 1.0 - n.z;
    v_colour = u_colour * (0.36 + 0.64 * diffuse) * (1.0 - 0.35 * rim * rim);
}
"""

MESH_FRAGMENT = """
varying vec3 v_colour;
void main() { gl_FragColor = vec4(v_colour, 1.0); }
"""
