"""Faces: found in images, followed through clips, cropped steadily for the encoder."""

from freeavatar.faces.align import CROP_SIZE, align_matrix, crop_face
from freeavatar.faces.detect import detect_faces, refine_face
from freeavatar.faces.drawn import Box
from freeavatar.faces.lineup import find_faces
from freeavatar.faces.pose import head_pose
from freeavatar.faces.retina import Face
from freeavatar.faces.track import FaceTracker, TrackedFrame, track_face_at, track_faces

__all__ = [
    "CROP_SIZE",
    "Box",
    "Face",
    "FaceTracker",
    "TrackedFrame",
    "align_matrix",
    "crop_face",
    "detect_faces",
    "find_faces",
    "head_pose",
    "refine_face",
    "track_face_at",
    "track_faces",
]
