"""A tiny fine-tune for the tests: a base that sees 32 pixels, a handful of labels, faces that are noise."""

import json
from pathlib import Path

import cv2
import numpy as np

from freeavatar.models import PORTRAIT_SIZE
from freeavatar.paths import home
from freeavatar.rig import ARKIT
from tests.bundles import make_bundle
from training.jobs.job import JobConfig, Plan
from training.renders.rehearsal import rehearsal_folder

PLAN = Plan(steps=3, batch=12, rehearsal=8, validation=8, reports=1, has_clip=False, refit=2)


def make_job(folder: Path, *, plan: Plan = PLAN, has_renderer: bool = False, **more) -> JobConfig:
    """Settings of a run that ends in seconds, with all it needs."""
    rng = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for k in range(12):
        cv2.imwrite(str(images / f"{k}.jpg"), rng.integers(0, 255, (48, 48, 3), np.uint8))
    for name, count in (("train", 20), ("held_out", 60)):
        rows = [[f"{k}.jpg" for k in rng.choice(12, 3, replace=False)] for _ in range(count)]
        lines = [dict(zip(("anchor", "positive", "negative"), row, strict=True), type="2") for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for place in (rehearsal_folder(plan.rehearsal), home() / "renders" / f"validation-1-{plan.validation}"):
        _make_faces(place, rng)
    return JobConfig(
        folder / "train.jsonl", images, folder / "held_out.jsonl",
        base=str(make_bundle(folder / "base", has_renderer=has_renderer)), plan=plan, **more,
    )  # fmt: skip


def _make_faces(folder: Path, rng: np.random.Generator, count: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "crops.npy", rng.integers(0, 255, (count, 144, 144), np.uint8))
    rigs = rng.random((count // 2, len(ARKIT)), np.float32)
    np.save(folder / "rigs.npy", np.concatenate([rigs, rigs]))
    np.save(folder / "expressions.npy", np.arange(count, dtype=np.int32) % (count // 2))
    (folder / "avatars.json").write_text(json.dumps(["ines"] * (count // 2) + ["kofi"] * (count // 2)))


def make_portraits(folder: Path, names: tuple[str, ...], each: int = 8) -> Path:
    """Noise in place of avatars' portraits."""
    rng, count = np.random.default_rng(0), each * len(names)
    folder.mkdir(parents=True)
    shape = (PORTRAIT_SIZE, PORTRAIT_SIZE)
    np.save(folder / "pictures.npy", rng.integers(0, 255, (count, *shape, 3), np.uint8))
    np.save(folder / "weights.npy", rng.random((count, 52)).astype(np.float16))
    np.save(folder / "avatars.npy", np.repeat(np.arange(len(names)), each).astype(np.int32))
    np.save(folder / "neutral.npy", rng.integers(0, 255, (len(names), *shape, 3), np.uint8))
    np.save(folder / "regions.npy", rng.random((len(names), *shape)) < 0.3)
    (folder / "avatars.json").write_text(json.dumps(names))
    return folder
