"""What an avatar's targets do, against the figures of two heads made for ARKit: size, direction, share of the face.

    python -m benchmarks.shapes ines [PATH.glb ...]

Where the file says where the 89 landmarks of the reference lie (``asset.extras.referenceLandmarks``, as ours do),
the cosine of its displacements with the reference's is given for the 68 of Multi-PIE and for the 21 others. Ours are
fitted to all 89.
"""

from dataclasses import dataclass

import numpy as np
import tyro

from freeavatar.avatars import Avatar, load_avatar
from freeavatar.avatars.gltf import open_glb
from freeavatar.avatars.meaning import Meaning, measure, reference_displacements

COMMON = 68
"""Landmarks of Multi-PIE, before the 21 others."""
LEAST_COSINE = 0.9


@dataclass(frozen=True)
class ShapesConfig:
    """What to measure."""

    avatars: tyro.conf.Positional[tuple[str, ...]] = ("ines",)
    """Names of avatars, or paths of GLBs."""


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of two fields ``(N, 3)`` as vectors."""
    return float((first * second).sum() / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))


def landmark_vertices(avatar: Avatar) -> np.ndarray | None:
    """The skin's vertices at the reference landmarks, ``(89,)``; None where the file does not say."""
    points = (open_glb(avatar.path).asset.extras or {}).get("referenceLandmarks")
    if points is None:
        return None
    surfaces = np.array([material.surface for material in avatar.materials])[avatar.material]
    skin = np.flatnonzero(surfaces == "skin")
    apart = np.linalg.norm(avatar.positions[skin] - np.array(points)[:, None], axis=2)
    return skin[apart.argmin(1)]


def cosines(avatar: Avatar, name: str, vertices: np.ndarray) -> tuple[float, float]:
    """Of a target with the reference, at the 68 landmarks and at the 21."""
    moved = avatar.target_positions[avatar.target_names.index(name)][vertices]
    wanted = reference_displacements()[name]
    return cosine(moved[:COMMON], wanted[:COMMON]), cosine(moved[COMMON:], wanted[COMMON:])


def describe(meaning: Meaning, fit: tuple[float, float] | None) -> tuple[str, bool]:
    """A line, and whether all that it says is as it should be."""
    low, high = sorted(head.size for head in meaning.references)
    checks = [meaning.has_usual_strength, meaning.has_usual_direction, meaning.has_usual_share]
    words = [
        f"size {meaning.does.size:.3f} (heads {low:.3f} to {high:.3f})", f"{meaning.angle:3.0f} degrees off",
        f"{meaning.does.share:5.1%} of the face (at least {0.7 * min(h.share for h in meaning.references):.1%})",
    ]  # fmt: skip
    if fit is not None:
        checks.append(fit[1] >= LEAST_COSINE)
        words.insert(0, f"cosine {fit[0]:.2f} at 68, {fit[1]:.2f} at 21")
    return f"{meaning.name:20s} {'  ' if all(checks) else '! '}" + ", ".join(words), all(checks)


def main(config: ShapesConfig) -> None:
    """Print a table for each avatar."""
    for name in config.avatars:
        avatar = load_avatar(name)
        vertices, meanings = landmark_vertices(avatar), measure(avatar)
        lines = [describe(m, None if vertices is None else cosines(avatar, m.name, vertices)) for m in meanings]
        print(f"{avatar.name}\n" + "\n".join(line for line, _ in lines))
        print(f"{sum(is_right for _, is_right in lines)} of {len(lines)} targets as they should be\n")


if __name__ == "__main__":
    main(tyro.cli(ShapesConfig, description=__doc__))
