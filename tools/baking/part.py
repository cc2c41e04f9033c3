"""A part of a head: its own vertices, one material, and what each target does to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from freeavatar.avatars.avatar import Surface
from freeavatar.avatars.glb import vertex_normals


@dataclass(frozen=True)
class Finish:
    """The material of a part."""

    surface: Surface = "plain"
    roughness: float = 0.6
    is_textured: bool = True
    is_double_sided: bool = False


@dataclass(frozen=True)
class Use:
    """How a target is used."""

    weight: float = 1.0
    below: Mapping[int, float] = field(default_factory=dict)
    """Weights of the targets before it that it is added to."""


@dataclass(frozen=True)
class Part:
    """One primitive."""

    name: str
    finish: Finish
    positions: np.ndarray
    """``(V, 3)`` metres."""
    uv: np.ndarray
    """``(V, 2)`` in the atlas, glTF's origin (upper left)."""
    triangles: np.ndarray
    """``(T, 3)``."""
    offsets: np.ndarray
    """Displacement of each target at full weight, ``(K, V, 3)`` metres."""
    merge: np.ndarray
    """Vertices with one value are one point of the surface, ``(V,)`` int."""
    colors: np.ndarray
    """Linear vertex colours, ``(V, 3)`` in [0, 1]."""
    normals: np.ndarray
    """Unit, ``(V, 3)``."""
    is_grown: bool = False
    """Whether it consists of strands, whose normals targets leave alone."""

    def normal_offsets(self, uses: Sequence[Use]) -> np.ndarray:
        """Change of the normals by each target, ``(K, V, 3)``; strands keep theirs.

        Args:
            uses: of each target, ``K``: with the targets below it their sum has the normals of the surface.
        """
        found = np.zeros_like(self.offsets)
        if self.is_grown:
            return found
        moves = np.abs(self.offsets).max((1, 2)) > 1e-6
        for k, use in enumerate(uses):
            below = {j: weight for j, weight in use.below.items() if moves[j]}
            if not moves[k] and len(below) < 2:
                continue
            moved = self.positions + use.weight * self.offsets[k]
            moved = moved + sum(weight * self.offsets[j] for j, weight in below.items())
            tilt = vertex_normals(moved, self.triangles, self.merge) - self.normals
            found[k] = (tilt - sum(weight * found[j] for j, weight in below.items())) / use.weight
        return found
        return found


def make_part(
    name: str, finish: Finish, positions: np.ndarray, uv: np.ndarray, triangles: np.ndarray, offsets: np.ndarray,
    merge: np.ndarray | None = None,
) -> Part:  # fmt: skip
    """A part with the normals of its surface and white vertices."""
    if merge is None:
        merge = np.unique(positions.round(7), axis=0, return_inverse=True)[1].ravel()
    normals = vertex_normals(positions, triangles, merge)
    return Part(
        name, finish, positions, uv, triangles.astype(np.int32), offsets, merge, np.ones_like(positions), normals
    )


def joined(parts: list[Part]) -> Part:
    """One part of several, with the name and the material of the first."""
    shift = np.cumsum([0] + [len(p.positions) for p in parts[:-1]])
    merges = np.cumsum([0] + [p.merge.max() + 1 for p in parts[:-1]])
    return replace(
        parts[0],
        positions=np.concatenate([p.positions for p in parts]),
        uv=np.concatenate([p.uv for p in parts]),
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, shift, strict=True)]),
        offsets=np.concatenate([p.offsets for p in parts], axis=1),
        merge=np.concatenate([p.merge + s for p, s in zip(parts, merges, strict=True)]),
        colors=np.concatenate([p.colors for p in parts]),
        normals=np.concatenate([p.normals for p in parts]),
    )


def clip(part: Part, keep: np.ndarray) -> Part:
    """Cut a part where a function of its vertices crosses zero.

    Args:
        part: what to cut.
        keep: values at the vertices, ``(V,)``: what is positive stays.

    Returns:
        The part with new vertices, interpolated in every respect, along the cut.
    """
    tri = part.triangles
    inside = keep[tri] > 0
    tri, inside = tri[inside.any(1)], inside[inside.any(1)]
    count = inside.sum(1)
    ends: list[np.ndarray] = []

    def rotated(wanted: int, first_is_inside: bool) -> np.ndarray:
        """Triangles with ``wanted`` vertices inside, turned so that the odd one comes first."""
        chosen, mask = tri[count == wanted], inside[count == wanted]
        first = (mask if first_is_inside else ~mask).argmax(1)
        return np.stack([chosen[np.arange(len(chosen)), (first + k) % 3] for k in range(3)], axis=1)

    def crossing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Provisional index of the point between an inner and an outer vertex."""
        start = len(keep) + sum(len(e) for e in ends)
        ends.append(np.stack([a, b], axis=1))
        return np.arange(start, start + len(a))

    a, b, c = rotated(1, True).T
    ab, ac = crossing(a, b), crossing(a, c)
    o, p, q = rotated(2, False).T
    po, qo = crossing(p, o), crossing(q, o)
    faces = [tri[count == 3], np.stack([a, ab, ac], 1), np.stack([p, q, qo], 1), np.stack([p, qo, po], 1)]
    pairs, place = np.unique(np.concatenate(ends).reshape(-1, 2), axis=0, return_inverse=True)
    corners = np.concatenate(faces)
    is_new = corners >= len(keep)
    corners[is_new] = len(keep) + place.ravel()[corners[is_new] - len(keep)]
    used, corners = np.unique(corners, return_inverse=True)
    t = (keep[pairs[:, 0]] / (keep[pairs[:, 0]] - keep[pairs[:, 1]])) if len(pairs) else np.zeros(0)

    def mixed(values: np.ndarray) -> np.ndarray:
        x, y = values[..., pairs[:, 0], :], values[..., pairs[:, 1], :]
        return np.concatenate([values, x + (y - x) * t[:, None]], axis=-2)[..., used, :]

    edge = np.sort(part.merge[pairs], axis=1)
    new = np.unique(edge, axis=0, return_inverse=True)[1].ravel() + part.merge.max() + 1 if len(pairs) else pairs[:, 0]
    normals = mixed(part.normals)
    return replace(
        part, positions=mixed(part.positions), uv=mixed(part.uv), triangles=corners.reshape(-1, 3).astype(np.int32),
        offsets=mixed(part.offsets), merge=np.concatenate([part.merge, new])[used], colors=mixed(part.colors),
        normals=normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9),
    )  # fmt: skip


def split(part: Part, chosen: np.ndarray, name: str, finish: Finish) -> list[Part]:
    """Give the triangles whose vertices are all ``chosen`` ``(V,)`` a name and a material of their own."""
    own = chosen[part.triangles].all(1)
    parts = []
    for triangles in (part.triangles[~own], part.triangles[own]):
        used, local = np.unique(triangles, return_inverse=True)
        arrays = {key: getattr(part, key)[used] for key in ("positions", "uv", "merge", "colors", "normals")}
        local = local.reshape(-1, 3).astype(np.int32)
        parts.append(replace(part, triangles=local, offsets=part.offsets[:, used], **arrays))
    return [parts[0], replace(parts[1], name=name, finish=finish)]


def border(part: Part) -> np.ndarray:
    """Edges with a triangle on one side only, ``(E, 2)``, in the direction their triangle runs."""
    edges = part.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    key = np.sort(part.merge[edges], axis=1)
    _, place, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    return edges[count[place.ravel()] == 1]


def hem(part: Part, edges: np.ndarray, inward: np.ndarray) -> Part:
    """Fold a border over: a strip from ``edges`` ``(E, 2)`` to their vertices moved by ``inward`` ``(V, 3)``."""
    used, local = np.unique(edges, return_inverse=True)
    local = local.reshape(-1, 2)
    n = len(used)
    a, b = local[:, 0], local[:, 1]
    triangles = np.concatenate([np.stack([b, a, a + n], 1), np.stack([b, a + n, b + n], 1)])
    twice = np.concatenate([used, used])
    positions = part.positions[twice]
    positions[n:] += inward[used]
    merge = np.concatenate([part.merge[used], part.merge[used] + part.merge.max() + 1])
    strip = make_part(
        part.name, part.finish, positions, part.uv[twice], triangles, part.offsets[:, twice],
        np.unique(merge, return_inverse=True)[1].ravel(),
    )  # fmt: skip
    return joined([part, replace(strip, colors=part.colors[twice])])
