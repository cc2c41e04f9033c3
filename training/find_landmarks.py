"""Landmarks of MediaPipe's Face Landmarker on face crops, for ``training.label_faces``.

    python training/find_landmarks.py --task face_landmarker.task --source FACES
    python training/find_landmarks.py --task face_landmarker.task --source RENDERS --every 4

It runs without the package, in an environment of its own (mediapipe 0.10.21, opencv). SOURCE is a folder with
images.zip and labels.csv, or one of ``training.render_faces``; ``landmarks.npy`` is written into it: ``(N, 478, 3)``
float16, x to the right, y down and z away in units of the crop's side, NaN where no face was found or looked for.
"""

import argparse
import csv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

_POINTS = 478
_SIDE = 288
"""Crops are enlarged to this, and surrounded by half as much again, as the detector likes them."""


def pictures(source: Path) -> Iterable:
    """Luma crops of a folder, in order."""
    if (source / "crops.npy").is_file():
        return np.load(source / "crops.npy", mmap_mode="r")
    with (source / "labels.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    archive = zipfile.ZipFile(source / "images.zip")
    return (cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE) for name in names)


def find(model: vision.FaceLandmarker, crop: np.ndarray | None) -> np.ndarray:
    """Landmarks ``(478, 3)`` of a crop; NaN without a face, or if it cannot be read."""
    if crop is None:
        return np.full((_POINTS, 3), np.nan)
    enlarged = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    margin = _SIDE // 4
    framed = cv2.copyMakeBorder(enlarged, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.repeat(framed[..., None], 3, axis=2))
    faces = model.detect(image).face_landmarks
    if not faces:
        return np.full((_POINTS, 3), np.nan)
    points = np.array([[point.x, point.y, point.z] for point in faces[0]]) * len(framed)
    points[:, :2] -= margin
    return points / _SIDE


def main() -> None:
    """Look at every crop of a folder, or at every so many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=args.task), running_mode=vision.RunningMode.IMAGE,
        min_face_detection_confidence=0.2, min_face_presence_confidence=0.2,
    )  # fmt: skip
    missing = np.full((_POINTS, 3), np.nan, np.float16)
    with vision.FaceLandmarker.create_from_options(options) as model:
        found = [
            missing if number % args.every else find(model, crop).astype(np.float16)
            for number, crop in enumerate(pictures(args.source))
        ]
    np.save(args.source / "landmarks.npy", np.stack(found))
    looked = found[:: args.every]
    print(f"{sum(np.isnan(points[0, 0]) for points in looked)} of {len(looked)} without a face")


if __name__ == "__main__":
    main()
