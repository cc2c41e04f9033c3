"""Compare a fine-tuned bundle with the one it was made from: held-out answers, shipped faces, an example clip.

    python -m training.measure.before_after --before freeavatar/weights/default --after RUN/encoder/weights --out DIR
    python -m training.measure.before_after --before A --after B --held-out held_out.jsonl --images images --out DIR

Both are measured on the same triplets, and the interval is that of the difference, triplet by triplet.
``held_out_new`` is measured where no picture was trained on; it is null where no held-out answer is like that, and
absent where all are. Writes
``report.json`` and, of the clip, ``both.mp4`` (actor, before, after) and one film of each panel, for an A/B study.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from freeavatar.export.side_by_side import actor_width
from freeavatar.files import make_folder, replacing
from freeavatar.models import choose_device, open_bundle
from freeavatar.models.library import convert_bundle, whole_bundle
from freeavatar.networks import Bundle, encode_crops, load_bundle
from freeavatar.pipeline import AnimateOptions, animate
from freeavatar.video import VideoReader, VideoWriter
from training.data.drawing import draw_recast
from training.engine.devices import torch_device
from training.engine.loop import enter
from training.measure.figures import Figure, bootstrap, triplet_hits
from training.measure.validation import HeldOutTriplets
from training.renders.rehearsal import VALIDATION, render_validation

logger = logging.getLogger(__name__)

FEWEST = 50
"""Fewer held-out answers tell nothing."""
WIDEST = 0.08
"""Half the width of an interval around no difference beyond which there are too few answers to see one."""
TRIPLETS = 4000
"""Triplets of the shipped validation set."""
HEIGHT = 320
"""Of the panels of the example clip, in pixels."""


@dataclass(frozen=True)
class CompareConfig:
    """What to compare, on what."""

    before: Path
    """Bundle."""
    after: Path
    """Bundle."""
    out: Path
    """Folder of the result."""
    held_out: Path | None = None
    """Triplets of answers that nothing was trained on."""
    images: Path | None = None
    """Folder of their images; default the file's own."""
    train: Path | None = None
    """Triplets that were trained on: held-out ones without a picture of these are what the verdict goes by."""
    validation: int = VALIDATION
    """Faces of the shipped validation set."""
    clip: Path | None = None
    """Example clip; None leaves it out."""
    avatar: str = "ines"
    device: str = "auto"


@dataclass(frozen=True)
class Pair:
    """A figure of both bundles, and of their difference."""

    before: Figure
    after: Figure
    difference: Figure

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``alike``, or ``too few`` where a difference could not be seen."""
        low, high = self.difference.low, self.difference.high
        if self.difference.count < FEWEST:
            return "too few"
        if low > 0 or high < 0:
            return "better" if low > 0 else "worse"
        return "alike" if (high - low) / 2 <= WIDEST else "too few"


def pair(before: np.ndarray, after: np.ndarray, images: np.ndarray, *, chance: float) -> Pair:
    """Compare hits ``(T,)`` of the same trials; ``images`` are resampled, as in ``bootstrap``."""
    change = after.astype(float) - before.astype(float)
    one, two, both = (bootstrap(hits, images, chance=chance) for hits in (before, after, change))
    return Pair(one, two, both)


def compare(config: CompareConfig) -> dict[str, Any]:
    """Measure both bundles and write ``report.json``.

    Raises:
        WeightsError: a bundle does not load.
        InputError: triplets, images or the clip cannot be read.
    """
    device, out = torch_device(config.device), make_folder(config.out)
    bundles = [load_bundle(whole_bundle(folder), device=device) for folder in (config.before, config.after)]
    report: dict[str, Any] = {"before": bundles[0].id, "after": bundles[1].id}
    if config.held_out is not None:
        logger.info("measuring on held-out answers")
        report |= _on_answers(config, bundles, device)
    logger.info("measuring on the shipped validation faces")
    report |= _on_shipped(config, bundles, device)
    if config.clip is not None:
        logger.info("animating %s with both", config.clip.name)
        report["clip"] = film_both(config)
    with replacing(out / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    return report


def _on_answers(config: CompareConfig, bundles: list[Bundle], device: torch.device) -> dict[str, Any]:
    assert config.held_out is not None
    answers = [
        HeldOutTriplets(
            config.held_out, images=config.images, cache=config.out, view=bundle.encoder.config.image_size
        )
        for bundle in bundles
    ]  # fmt: skip
    hits = [held.hits(bundle.encoder, device) for held, bundle in zip(answers, bundles, strict=True)]
    triplets = answers[0].triplets
    found: dict[str, Any] = {"held_out": _described(pair(hits[0], hits[1], triplets.index, chance=1 / 3))}
    seen = _names(config.train) if config.train else set()
    is_new = np.array([Path(name).name not in seen for name in triplets.images])[triplets.index].all(1)
    if not is_new.all():
        found["held_out_new"] = None
    if 0 < is_new.sum() < len(is_new):
        fresh = pair(hits[0][is_new], hits[1][is_new], triplets.index[is_new], chance=1 / 3)
        found["held_out_new"] = _described(fresh)
    return found


def _names(path: Path) -> set[str]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {row[role] for row in rows for role in ("anchor", "positive", "negative")}


def _on_shipped(config: CompareConfig, bundles: list[Bundle], device: torch.device) -> dict[str, Any]:
    """Same rig on another avatar, and how well rigs are decoded."""
    folder = render_validation(config.validation)
    crops, rigs = np.load(folder / "crops.npy"), np.load(folder / "rigs.npy")
    numbers = np.load(folder / "expressions.npy")
    avatars = np.unique(json.loads((folder / "avatars.json").read_text()), return_inverse=True)[1]
    triplets = draw_recast(numbers, avatars, rigs, TRIPLETS, np.random.default_rng(0), hard=0.0)
    hits, errors = [], []
    for bundle in bundles:
        rgb = [np.repeat(crop[..., None], 3, axis=2) for crop in crops]
        parts = [encode_crops(bundle.encoder, rgb[k : k + 64], device) for k in range(0, len(rgb), 64)]
        features, embedding = (np.concatenate(column) for column in zip(*parts, strict=True))
        hits.append(triplet_hits(*(embedding[triplets[:, k]] for k in range(3))))
        errors.append(rig_correlation(bundle, features, rigs, device))
    shipped = pair(hits[0], hits[1], triplets, chance=1 / 3)
    return {"validation": _described(shipped), "rig": {"before": errors[0], "after": errors[1]}}


def rig_correlation(bundle: Bundle, features: np.ndarray, rigs: np.ndarray, device: torch.device) -> float:
    """Mean Pearson r over the channels that move, of rigs decoded for the generic avatar."""
    with torch.inference_mode():
        predicted = bundle.decoder(torch.from_numpy(features).float().to(device)).cpu().numpy()
    moves = rigs.std(0) > 0.03
    predicted, true = (values[:, moves] - values[:, moves].mean(0) for values in (predicted, rigs))
    scale = np.linalg.norm(predicted, axis=0) * np.linalg.norm(true, axis=0)
    return float(((predicted * true).sum(0) / np.maximum(scale, 1e-9)).mean())


def film_both(config: CompareConfig) -> dict[str, str]:
    """Animate the clip by both bundles; names of the films in ``out`` by panel."""
    assert config.clip is not None
    options = AnimateOptions(height=HEIGHT, has_audio=False, device=config.device)
    films = []
    for name, folder in (("before", config.before), ("after", config.after)):
        convert_bundle(folder)
        bundle = open_bundle(folder, device=choose_device(config.device))
        report = animate(config.clip, [config.avatar], out=config.out / name, options=options, bundle=bundle)
        films.append(VideoReader(report.files[config.avatar]["video"]))
    info = VideoReader(config.clip).info
    width = actor_width(info.size, HEIGHT)
    sizes = {"both": width + 2 * HEIGHT, "actor": width, "before": HEIGHT, "after": HEIGHT}
    names = {name: f"{name}.mp4" for name in sizes}
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                VideoWriter(config.out / names[name], size=(HEIGHT, wide), rate=films[0].info.rate)
            )
            for name, wide in sizes.items()
        }
        for time, panels in _panels(films, width):
            for name, picture in panels.items():
                writers[name].write(picture, time)
    return names


def _panels(films: list[VideoReader], width: int) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Time and pictures of each frame, cut out of two films of actor and avatar side by side."""
    for before, after in zip(*films, strict=True):
        actor, old, new = before.image[:, :width], before.image[:, width:], after.image[:, width:]
        both = np.concatenate([actor, old, new], axis=1)
        panels = {"both": both, "actor": actor, "before": old, "after": new}
        yield before.time, {name: np.ascontiguousarray(picture) for name, picture in panels.items()}


def _described(pair: Pair) -> dict[str, Any]:
    return {**asdict(pair), "verdict": pair.verdict}


def main(config: CompareConfig) -> None:
    """Print the figures."""
    report = compare(config)
    for name in ("held_out", "held_out_new", "validation"):
        if report.get(name):
            found = report[name]
            print(f"{name}: {found['before']['value']:.3f} -> {found['after']['value']:.3f}, {found['verdict']}")
    print(f"rig: {report['rig']['before']:.3f} -> {report['rig']['after']:.3f}")


if __name__ == "__main__":
    enter(lambda: main(tyro.cli(CompareConfig, description=__doc__)))
