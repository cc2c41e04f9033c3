"""The controls of a file: named morph targets, or a VRM's expressions, which move several targets at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from freeavatar.avatars.avatar import Corrective
from freeavatar.avatars.drive import EXPECTED, drive_matrix, drive_rows
from freeavatar.avatars.gltf import Gltf, target_names
from freeavatar.errors import AvatarError, Message, some_of
from freeavatar.rig import ARKIT

Binds = Mapping[tuple[int, int], float]
"""Weights of morph targets, by mesh and place in the mesh, at full weight of a control."""


@dataclass(frozen=True)
class Bindings:
    """What can be set in a file, and what it moves."""

    binds: Mapping[str, Binds]
    """For every control and corrective."""
    driven: tuple[str, ...]
    """Controls that follow ARKit's blendshapes: those that follow one of them first, in ARKit's order."""
    correctives: tuple[Corrective, ...]
    """Targets that follow from those."""
    unused: tuple[str, ...]
    """Names of targets and expressions that nothing drives."""
    drive: np.ndarray
    """How ``driven`` follow ARKit's blendshapes, ``(K, 52)`` float32."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Controls that are driven, then correctives."""
        return (*self.driven, *(corrective.name for corrective in self.correctives))

    def target_weights(self, names: tuple[str, ...], weights: np.ndarray, mesh: int, count: int) -> np.ndarray:
        """Weights of a mesh's targets, correctives included.

        Args:
            names: controls; those that the file lacks are left out.
            weights: theirs, ``(T, K)``.
            mesh: index of the mesh.
            count: how many targets it has.

        Returns:
            ``(T, count)`` float32.
        """
        column = {name: weights[:, index] for index, name in enumerate(names)}
        for fix in self.correctives:
            if fix.name not in column and fix.controls <= set(column):
                column[fix.name] = fix.weight(column)
        found = np.zeros((len(weights), count), np.float32)
        for name, values in column.items():
            for (owner, target), weight in self.binds.get(name, {}).items():
                if owner == mesh:
                    found[:, target] += weight * values
        return found

    def meshes(self, names: Iterable[str]) -> set[int]:
        """Indices of the meshes that those controls move."""
        return {mesh for name in names for mesh, _ in self.binds.get(name, {})}


def read_bindings(gltf: Gltf) -> Bindings:
    """Find a file's controls and what drives them.

    Raises:
        AvatarError: an entry of the file's extras or of its VRM expressions is not as it should be.
    """
    targets = _named_targets(gltf)
    try:
        expressions = _expressions(gltf)
        fixes = {k: tuple(v) for k, v in _declared(gltf, "correctives").items() if k in targets}
        drivers = _declared(gltf, "drivers")
        names = [*expressions, *(name for name in targets if name not in fixes and name not in expressions)]
        rows = drive_rows(names, drivers)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AvatarError("its list of controls is damaged ({!r}): export the avatar again.", error) from error
    taken = {bind for name in rows if name in expressions for bind in expressions[name]}
    driven = [name for name in names if name in rows and (name in expressions or not taken >= targets[name].keys())]
    driven.sort(key=lambda name: ARKIT.index(next(iter(rows[name]))) if len(rows[name]) == 1 else len(ARKIT))
    found = (Corrective(name, inputs) for name, inputs in fixes.items())
    correctives = tuple(corrective for corrective in found if corrective.controls <= set(driven))
    used = taken | {bind for name in (*driven, *(c.name for c in correctives)) for bind in targets.get(name, {})}
    unused = [name for name, binds in targets.items() if not used & binds.keys()]
    return Bindings(
        binds={**targets, **expressions},
        driven=tuple(driven),
        correctives=correctives,
        unused=(*unused, *(n for n in expressions if n not in driven and n not in targets)),
        drive=drive_matrix(driven, drivers),
    )


def check_driven(gltf: Gltf, controls: Bindings) -> None:
    """Refuse a file that nothing drives.

    Raises:
        AvatarError: it has no named targets, or none whose name is understood.
    """
    if controls.driven:
        return
    if not controls.unused:
        unnamed = any(primitive.targets for mesh in gltf.meshes for primitive in mesh.primitives)
        what = Message("its morph targets have no names") if unnamed else Message("no mesh has named morph targets")
        raise AvatarError("{}: export the head with its blendshapes (shape keys) under {}.", what, EXPECTED)
    raise AvatarError(
        "none of its {} morph targets has a name that can be driven ({}): rename them to {}.",
        len(controls.unused), some_of(controls.unused, most=8), EXPECTED,
    )  # fmt: skip


def _named_targets(gltf: Gltf) -> dict[str, dict[tuple[int, int], float]]:
    found: dict[str, dict[tuple[int, int], float]] = {}
    used = {node.mesh for node in gltf.nodes}
    for index, mesh in enumerate(gltf.meshes):
        for place, name in enumerate(target_names(mesh) if index in used else ()):
            if name:
                found.setdefault(name, {})[index, place] = 1.0
    return found


def _declared(gltf: Gltf, key: str) -> dict[str, Any]:
    """What the meshes' extras say under ``key``, merged."""
    extras = [mesh.extras for mesh in gltf.meshes if isinstance(mesh.extras, dict)]
    return {k: v for item in extras for k, v in (item.get(key) or {}).items()}


def _expressions(gltf: Gltf) -> dict[str, dict[tuple[int, int], float]]:
    """A VRM's expressions that move morph targets, by name, presets first."""
    extensions = gltf.extensions or {}
    found: dict[str, dict[tuple[int, int], float]] = {}
    groups = (extensions.get("VRMC_vrm") or {}).get("expressions") or {}
    for name, item in [*(groups.get("preset") or {}).items(), *(groups.get("custom") or {}).items()]:
        binds = {}
        for bind in item.get("morphTargetBinds") or ():
            mesh = gltf.nodes[bind["node"]].mesh
            binds[mesh, int(bind["index"])] = float(bind.get("weight", 1.0))
        found.setdefault(name, binds)
    for item in ((extensions.get("VRM") or {}).get("blendShapeMaster") or {}).get("blendShapeGroups") or ():
        binds = {
            (int(bind["mesh"]), int(bind["index"])): bind.get("weight", 100) / 100 for bind in item.get("binds") or ()
        }
        preset = str(item.get("presetName") or "unknown")
        found.setdefault(str(item.get("name")) if preset in ("unknown", "") else preset, binds)
    return {name: _checked(gltf, name, binds) for name, binds in found.items() if binds}


def _checked(gltf: Gltf, name: str, binds: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    for mesh, target in binds:
        if not 0 <= target < len(gltf.meshes[mesh].primitives[0].targets or ()):
            raise IndexError(f"expression {name} names a morph target that is not there")
    return binds
