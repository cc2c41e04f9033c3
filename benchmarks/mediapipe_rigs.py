"""MediaPipe Face Landmarker beside us, in an environment of its own (mediapipe 0.10.21, opencv).

python benchmarks/mediapipe_rigs.py --task face_landmarker.task --frames RENDERS/frames.npy --out peer.npz
python benchmarks/mediapipe_rigs.py --task face_landmarker.task --clip CLIP.mp4      # milliseconds a frame
"""

import argparse
import time

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

# fmt: off
ARKIT = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)
# fmt: on
"""A copy of freeavatar.rig.ARKIT: this file runs without the package."""


def landmarker(task: str, mode: vision.RunningMode) -> vision.FaceLandmarker:
    """A Face Landmarker with blendshapes."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=task), running_mode=mode, output_face_blendshapes=True
    )
    return vision.FaceLandmarker.create_from_options(options)


def scores(result: vision.FaceLandmarkerResult) -> np.ndarray:
    """Blendshapes ``(52,)``; zeros without a face."""
    if not result.face_blendshapes:
        return np.zeros(len(ARKIT), np.float32)
    found = {c.category_name: c.score for c in result.face_blendshapes[0]}
    return np.array([found.get(name, 0.0) for name in ARKIT], np.float32)


def main() -> None:
    """Score pictures, or time a clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--frames")
    parser.add_argument("--out")
    parser.add_argument("--clip")
    args = parser.parse_args()
    if args.clip:
        capture, count, spent = cv2.VideoCapture(args.clip), 0, 0.0
        with landmarker(args.task, vision.RunningMode.VIDEO) as model:
            while True:
                found, image = capture.read()
                if not found:
                    break
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                start = time.perf_counter()
                model.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb), count * 33)
                spent, count = spent + time.perf_counter() - start, count + 1
        print(f"mediapipe: {1000 * spent / count:.1f} ms a frame over {count} frames")
        return
    frames = np.load(args.frames, mmap_mode="r")
    with landmarker(args.task, vision.RunningMode.IMAGE) as model:
        rigs = [
            scores(model.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(f))))
            for f in frames
        ]
    np.savez(args.out, rigs=np.stack(rigs))
    print(f"{sum(not r.any() for r in rigs)} of {len(rigs)} without a face")


if __name__ == "__main__":
    main()
