"""A pinhole camera that looks at a point, y up; from the front unless it is turned about it."""

from dataclasses import dataclass

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.framing import Framing

FACE_SHARE = 0.68
"""Height of the face, chin to hairline, by the height of the picture that frames it."""
_LEAST_FACE_SHARE = 0.585
"""The same for a face as wide as a goblin's, whose ears need room."""
_JAW_ROOM = 0.042
"""How far below the middle of the face the camera looks, by the picture's height: jaws and beards drop."""
CHIN_BELOW_MOUTH, HAIRLINE_ABOVE_EYES = 0.5, 1.0
"""Where a face ends, by the height of its eyes above its mouth."""


@dataclass(frozen=True)
class Camera:
    """Looks at ``target``; the picture is ``extent`` metres high there."""

    target: tuple[float, float, float]
    extent: float
    """Height of the picture at the target, in the avatar's units."""
    field_of_view: float = 22.0
    """Vertical, degrees."""
    yaw: float = 0.0
    """Degrees about the target: positive ones look from the viewer's right (+x)."""
    pitch: float = 0.0
    """Degrees about the target: positive ones look from above."""

    @property
    def distance(self) -> float:
        """From the eye to the target."""
        return self.extent / 2 / np.tan(np.radians(self.field_of_view) / 2)

    @property
    def axes(self) -> np.ndarray:
        """The camera's right, up and back in the world, rows of ``(3, 3)``."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        right = np.array([np.cos(yaw), 0, -np.sin(yaw)])
        back = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        return np.stack([right, np.cross(back, right), back])

    @property
    def eye(self) -> np.ndarray:
        """Position of the eye, ``(3,)``."""
        return np.asarray(self.target) + self.distance * self.axes[2]

    def matrix(self, aspect: float = 1.0) -> np.ndarray:
        """World to clip space, ``(4, 4)`` float32; clip y points down, so row 0 is the top.

        Args:
            aspect: width / height of the picture.
        """
        near, far = self.distance * 0.25, self.distance * 4
        f = 1 / np.tan(np.radians(self.field_of_view) / 2)
        projection = np.array(
            [
                [f / aspect, 0, 0, 0],
                [0, -f, 0, 0],
                [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, -1, 0],
            ]
        )
        view = np.eye(4)
        view[:3, :3] = self.axes
        view[:3, 3] = -self.axes @ self.eye
        return (projection @ view).astype(np.float32)


def frame(avatar: Avatar, framing: Framing) -> Camera:
    """The camera that takes a square picture of an avatar from the front."""
    return _frame_face(avatar) if framing == "face" else _frame_bust(avatar)


def _frame_face(avatar: Avatar) -> Camera:
    """Face in the middle, room for an open jaw below and for hair above; as tight for every head."""
    points, (low, high) = avatar.face_points, avatar.face_box
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    unit = max(float(eyes[1] - mouth[1]), 0.1 * float(high[1] - low[1]))
    height = (CHIN_BELOW_MOUTH + 1 + HAIRLINE_ABOVE_EYES) * unit
    extent = min(max(height / FACE_SHARE, 1.04 * float(high[0] - low[0])), height / _LEAST_FACE_SHARE)
    middle = float(eyes[1]) + HAIRLINE_ABOVE_EYES * unit - height / 2 - _JAW_ROOM * extent
    return Camera((float(eyes[0] + mouth[0]) / 2, middle, float(points[:, 2].mean())), extent)


def _frame_bust(avatar: Avatar) -> Camera:
    """Head with its hair and the neck."""
    face, head = avatar.face_box, avatar.head_box
    height = float(face[1][1] - face[0][1])
    top, bottom = float(head[1][1]) + 0.10 * height, float(face[0][1]) - 0.30 * height
    aside = float(max(head[1][0] - face[1][0], face[0][0] - head[0][0], 0))
    extent = max(top - bottom, float(face[1][0] - face[0][0]) + 2 * aside + 0.12 * height)
    return Camera((float(face[0][0] + face[1][0]) / 2, (top + bottom) / 2, float(face[1][2])), extent)
