"""The formulas of ``differentiable/shading.py`` for numba, over queues laid out so that the compiler fills its lanes.

A queue is a flat float32 array: channel ``c`` of point ``i`` lies at ``c * LANES + i``. The distance between channels
being a constant is what lets LLVM vectorise the loops. All arithmetic is float32.
"""

import numpy as np
from numba import njit

from freeavatar.render import surfaces as s
from freeavatar.render.compiled.kernels import LOOSE, LOOSE_INLINE

LANES = 128
"""Points of one material shaded at a time."""

VIEW, NORMAL, TANGENT, UV, ALBEDO, KEY, FACING, FRESNEL, MIRRORED, ARRIVING, TEXEL = (
    np.int64(c * LANES) for c in (0, 3, 6, 9, 11, 14, 15, 16, 17, 20, 23)
)
"""Where channels begin; UV is two, VIEW, NORMAL, TANGENT, ALBEDO, MIRRORED, ARRIVING and TEXEL are three each. What
leaves a point is ``TEXEL * ALBEDO * ARRIVING + MIRRORED``: its light is known before its texture is read."""
CHANNELS = 26
N = np.int64(LANES)

TONE_STEPS = 1024
"""Entries of the tone table for each unit of the root of the radiance."""
TONE_ENTRIES = 4096

F = np.float32
_ZERO, _ONE, _HALF, _TWO = F(0), F(1), F(0.5), F(2)
_TINY, _BACK = F(1e-12), F(s.BACK)
_REACH_A, _REACH_B = F(0.8), F(0.2)
_FACING, _GRAZING = (F(v) for v in s.FRESNEL)
_BLEED = tuple(F(v) for v in s.BLEED_COLOR)
_DIFFUSE, _BRIGHTEST = F(s.DIFFUSE), F(s.BRIGHTEST_LOBE)
_LID_BEGIN, _LID_SCALE, _LID_DEPTH = F(s.LID_SHADOW[0]), F(1 / (s.LID_SHADOW[1] - s.LID_SHADOW[0])), F(s.LID_SHADOW[2])
_BOX_WIDTH, _BOX_HEIGHT, _BOX_SHARP = F(s.CATCHLIGHT[0]), F(s.CATCHLIGHT[1]), F(1 / s.CATCHLIGHT[2])
_BEND, _BOX_GAIN = F(s.CATCHLIGHT_BEND), F(s.CATCHLIGHT_GAIN)
_SHIFT_1, _SHIFT_2 = (F(v) for v in s.HAIR_SHIFTS)
_SHARP_1, _SHARP_2 = (F(v) for v in s.HAIR_SHARPNESS)
_WHITE, _TINTED, _SECOND = (F(v) for v in s.HAIR_GAINS)
_LEAST_ALONG, _LEAST_HALF, _DARK, _LIGHT = F(-0.98), F(0.1), F(0.3), F(0.7)
_THREE, _FLAT = F(3), F(1e-6)


@njit(**LOOSE_INLINE)
def _smooth(x):
    x = min(max(x, _ZERO), _ONE)
    return x * x * (_THREE - _TWO * x)


@njit(**LOOSE)
def _prepare(q, count, sky, ground, rim, is_eye):
    """Unit vectors, the normal turned to the eye, and what depends on no light."""
    for i in range(count):
        vx, vy, vz = q[VIEW + i], q[VIEW + N + i], q[VIEW + 2 * N + i]
        scale = _ONE / np.sqrt(max(vx * vx + vy * vy + vz * vz, _TINY))
        vx, vy, vz = vx * scale, vy * scale, vz * scale
        nx, ny, nz = q[NORMAL + i], q[NORMAL + N + i], q[NORMAL + 2 * N + i]
        scale = _ONE / np.sqrt(max(nx * nx + ny * ny + nz * nz, _TINY))
        facing = (nx * vx + ny * vy + nz * vz) * scale
        scale = -scale if facing < _BACK else scale
        bend = min(facing, _ZERO) if facing >= _BACK else _ZERO
        nx, ny, nz = nx * scale - bend * vx, ny * scale - bend * vy, nz * scale - bend * vz
        scale = _ONE / np.sqrt(max(nx * nx + ny * ny + nz * nz, _TINY))
        nx, ny, nz = nx * scale, ny * scale, nz * scale
        facing = min(max(nx * vx + ny * vy + nz * vz, _ZERO), _ONE)
        q[VIEW + i], q[VIEW + N + i], q[VIEW + 2 * N + i] = vx, vy, vz
        q[NORMAL + i], q[NORMAL + N + i], q[NORMAL + 2 * N + i] = nx, ny, nz
        away = _ONE - facing
        q[FACING + i] = facing
        q[FRESNEL + i] = _FACING + _GRAZING * away * away * away * away * away
        up = _HALF + _HALF * ny
        edge = rim * up * away * away * away
        lid = _ONE - is_eye * _LID_DEPTH * _smooth((ny - _LID_BEGIN) * _LID_SCALE)
        red, green, blue = lid * q[ALBEDO + i], lid * q[ALBEDO + N + i], lid * q[ALBEDO + 2 * N + i]
        q[ALBEDO + i], q[ALBEDO + N + i], q[ALBEDO + 2 * N + i] = red, green, blue
        q[ARRIVING + i] = _DIFFUSE * (ground[0] + up * (sky[0] - ground[0]))
        q[ARRIVING + N + i] = _DIFFUSE * (ground[1] + up * (sky[1] - ground[1]))
        q[ARRIVING + 2 * N + i] = _DIFFUSE * (ground[2] + up * (sky[2] - ground[2]))
        q[MIRRORED + i], q[MIRRORED + N + i], q[MIRRORED + 2 * N + i] = edge * sky[0], edge * sky[1], edge * sky[2]


@njit(**LOOSE_INLINE)
def _wrapped(cosine, wrap):
    reach = max((cosine + wrap) / (_ONE + wrap), _ZERO)
    return reach * (_REACH_A + _REACH_B * reach)


@njit(**LOOSE)
def _illuminate(q, count, light, is_key, m):
    """Add one light's diffuse and specular reflection."""
    lx, ly, lz, red, green, blue = light[0], light[1], light[2], light[3], light[4], light[5]
    wrap_r, wrap_g, wrap_b = m[s.WRAP], m[s.WRAP + 1], m[s.WRAP + 2]
    broad, broad_alpha, tight, tight_alpha = m[s.BROAD], m[s.BROAD_ALPHA], m[s.TIGHT], m[s.TIGHT_ALPHA]
    bleed, shade = m[s.BLEED], is_key * (_ONE - m[s.FILL])
    for i in range(count):
        vx, vy, vz = q[VIEW + i], q[VIEW + N + i], q[VIEW + 2 * N + i]
        nx, ny, nz = q[NORMAL + i], q[NORMAL + N + i], q[NORMAL + 2 * N + i]
        key = _ONE - shade * (_ONE - q[KEY + i])
        spread = bleed * key * (_ONE - key)
        cosine = nx * lx + ny * ly + nz * lz
        along = max(vx * lx + vy * ly + vz * lz, _LEAST_ALONG)
        sine = (q[FACING + i] + cosine) / np.sqrt(_TWO + _TWO * along)
        square = min(max(sine, _ZERO), _ONE)
        square = square * square
        d1, d2 = square * (broad_alpha - _ONE) + _ONE, square * (tight_alpha - _ONE) + _ONE
        lobes = broad * broad_alpha / (d1 * d1) + tight * tight_alpha / (d2 * d2)
        lobes = min(lobes / max(_HALF + _HALF * along, _LEAST_HALF), _BRIGHTEST)
        shine = lobes * q[FRESNEL + i] * max(cosine, _ZERO) * key
        q[ARRIVING + i] += red * _DIFFUSE * _wrapped(cosine, wrap_r) * (key + spread * _BLEED[0])
        q[ARRIVING + N + i] += green * _DIFFUSE * _wrapped(cosine, wrap_g) * (key + spread * _BLEED[1])
        q[ARRIVING + 2 * N + i] += blue * _DIFFUSE * _wrapped(cosine, wrap_b) * (key + spread * _BLEED[2])
        q[MIRRORED + i] += red * shine
        q[MIRRORED + N + i] += green * shine
        q[MIRRORED + 2 * N + i] += blue * shine


@njit(**LOOSE)
def _add_sheen(q, count, light, is_key):
    """Add what strands mirror of one light."""
    lx, ly, lz, red, green, blue = light[0], light[1], light[2], light[3], light[4], light[5]
    for i in range(count):
        vx, vy, vz = q[VIEW + i], q[VIEW + N + i], q[VIEW + 2 * N + i]
        tx, ty, tz = q[TANGENT + i], q[TANGENT + N + i], q[TANGENT + 2 * N + i]
        length = tx * tx + ty * ty + tz * tz
        scale = _ONE / np.sqrt(max(length, _TINY))
        tx, ty, tz, length = tx * scale, ty * scale, tz * scale, min(length * F(1e12), _ONE)
        cosine = q[NORMAL + i] * lx + q[NORMAL + N + i] * ly + q[NORMAL + 2 * N + i] * lz
        along = max(vx * lx + vy * ly + vz * lz, _LEAST_ALONG)
        inverse = _ONE / np.sqrt(_TWO + _TWO * along)
        across = (q[FACING + i] + cosine) * inverse
        along = (tx * (vx + lx) + ty * (vy + ly) + tz * (vz + lz)) * inverse
        x1, x2 = along + _SHIFT_1 * across, along + _SHIFT_2 * across
        one, two = _ONE / (_ONE + _SHARP_1 * x1 * x1), _ONE / (_ONE + _SHARP_2 * x2 * x2)
        one, two = one * one, two * two
        one, two = one * one, two * two
        key = _ONE - is_key * (_ONE - q[KEY + i])
        arriving = max(_DARK + _LIGHT * cosine, _ZERO) * key * length
        white, tinted = arriving * one * _WHITE, arriving * (one * _TINTED + two * _SECOND)
        q[MIRRORED + i] += red * white
        q[MIRRORED + N + i] += green * white
        q[MIRRORED + 2 * N + i] += blue * white
        q[ARRIVING + i] += red * tinted
        q[ARRIVING + N + i] += green * tinted
        q[ARRIVING + 2 * N + i] += blue * tinted


@njit(**LOOSE)
def _add_mirror(q, count, lights, sky, ground):
    """Add what wet eyes mirror of the sky and the key light, if there is one."""
    lx = ly = lz = red = green = blue = _ZERO
    if lights.shape[0]:
        lx, ly, lz = lights[0, 0], lights[0, 1], lights[0, 2]
        red, green, blue = lights[0, 3], lights[0, 4], lights[0, 5]
    for i in range(count):
        vx, vy, vz = q[VIEW + i], q[VIEW + N + i], q[VIEW + 2 * N + i]
        nx, ny, nz = q[NORMAL + i], q[NORMAL + N + i], q[NORMAL + 2 * N + i]
        up = _HALF + _HALF * (_TWO * q[FACING + i] * ny - vy)
        cx, cy, cz = lx + _BEND * vx, ly + _BEND * vy, lz + _BEND * vz
        scale = _ONE / np.sqrt(max(cx * cx + cy * cy + cz * cz, _TINY))
        dx, dy, dz = nx - cx * scale, ny - cy * scale, nz - cz * scale
        scale = _ONE / np.sqrt(max(vx * vx + vz * vz, _FLAT))
        ax, az = vz * scale, -vx * scale
        across = abs(dx * ax + dz * az)
        above = abs(dx * vy * az + dy * (vz * ax - vx * az) - dz * vy * ax)
        box = _smooth((_BOX_WIDTH - across) * _BOX_SHARP + _HALF) * _smooth((_BOX_HEIGHT - above) * _BOX_SHARP + _HALF)
        box *= _BOX_GAIN * (_DARK + _LIGHT * q[KEY + i])
        fresnel = q[FRESNEL + i]
        q[MIRRORED + i] += fresnel * (ground[0] + up * (sky[0] - ground[0])) + red * box
        q[MIRRORED + N + i] += fresnel * (ground[1] + up * (sky[1] - ground[1])) + green * box
        q[MIRRORED + 2 * N + i] += fresnel * (ground[2] + up * (sky[2] - ground[2])) + blue * box


@njit(**LOOSE)
def index_tones(q, count):
    """Turn what leaves the first ``count`` points into places in the tone table, in TEXEL."""
    for c in range(3):
        for i in range(count):
            place = c * N + i
            radiance = q[TEXEL + place] * q[ALBEDO + place] * q[ARRIVING + place] + q[MIRRORED + place]
            q[TEXEL + place] = min(np.sqrt(max(radiance, _ZERO)) * F(TONE_STEPS) + _HALF, F(TONE_ENTRIES - 1))


@njit(**LOOSE)
def light_queue(q, count, m, lights, sky, ground):
    """Light the first ``count`` points of queue ``q``: fills ARRIVING and MIRRORED.

    Args:
        q: flat, ``(CHANNELS * LANES,)`` float32.
        count: of points, at most ``LANES``.
        m: their material, a row of :func:`surfaces.material_table`.
        lights: unit direction and colour, ``(L, 6)`` float32; the first is the key.
        sky: ``(3,)`` float32.
        ground: ``(3,)`` float32.
    """
    _prepare(q, count, sky, ground, m[s.RIM], m[s.IS_EYE])
    for k in range(lights.shape[0]):
        is_key = _ONE if k == 0 else _ZERO
        _illuminate(q, count, lights[k], is_key, m)
        if m[s.IS_HAIR] > 0:
            _add_sheen(q, count, lights[k], is_key)
    if m[s.IS_EYE] > 0:
        _add_mirror(q, count, lights, sky, ground)
