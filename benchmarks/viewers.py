"""Whether rigs agree with what viewers see: correlation with descriptions of faces, movement by movement.

    python -m benchmarks.viewers --clips clips.csv --pred ours=CSVS/ines --reference reference.npz
    python -m benchmarks.viewers --faces FACES --weights BUNDLE

``clips.csv`` describes frames of clips (a table of ``training.describe_faces`` whose files are ``CLIP:FRAME``); CSVS
come from ``benchmarks.tracking``, and ``--reference`` holds a peer's rigs: ``channels``, and an array a clip. FACES
holds images.zip, labels.csv and descriptions.csv, of which the val split counts. Printed beside each correlation is how
strong the answer is: the spread of what it shows over the described one, on the scale of
``training.data.descriptions``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from freeavatar.export.live_link import read_live_link_csv
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.networks import load_bundle
from freeavatar.rig import ARKIT
from training.data.descriptions import MOVEMENTS, NAMES, read_descriptions, strengths_of_rigs
from training.data.features import cached_features
from training.data.labelled_faces import DESCRIPTIONS, image_ids, read_rows, scores_of
from training.label_faces import answers
from training.measure.figures import correlation


@dataclass(frozen=True)
class ViewersConfig:
    """What to measure."""

    clips: Path | None = None
    """Table that describes frames of clips."""
    pred: tuple[str, ...] = ()
    """NAME=FOLDER of Live Link Face CSVs, one a clip."""
    reference: Path | None = None
    """A peer's rigs of the clips."""
    faces: Path | None = None
    """Folder of described faces."""
    weights: Path = DEFAULT_WEIGHTS
    """Bundle that answers them."""
    cache: Path = Path("/tmp/freeavatar-viewers")


def of_clips(config: ViewersConfig) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rigs ``(N, 52)`` by name, and strengths ``(N, M)``."""
    assert config.clips is not None
    described = read_descriptions(config.clips)
    places = [(name.rsplit(":", 1)[0], int(name.rsplit(":", 1)[1])) for name in described]
    rigs = {}
    for text in config.pred:
        name, folder = text.split("=", 1)
        curves = {
            clip: read_live_link_csv(Path(folder) / f"{clip}.csv").weights for clip in {clip for clip, _ in places}
        }
        rigs[name] = _rows(places, curves)
    if config.reference is not None:
        stored = np.load(config.reference)
        columns = [str(name) for name in stored["channels"]]
        order = [columns.index(name) if name in columns else -1 for name in ARKIT]
        padded = {c: np.pad(np.nan_to_num(stored[c].astype(float)), ((0, 0), (0, 1))) for c, _ in set(places)}
        rigs["peer"] = _rows(places, {clip: values[:, order] for clip, values in padded.items()})
    return rigs, np.array(list(described.values()))


def _rows(places: list[tuple[str, int]], rigs: dict[str, np.ndarray]) -> np.ndarray:
    return np.array([rigs[clip][min(frame, len(rigs[clip]) - 1)] for clip, frame in places])


def of_faces(config: ViewersConfig) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """As :func:`of_clips`, of single faces."""
    assert config.faces is not None
    described = read_descriptions(config.faces / DESCRIPTIONS)
    rows = [row for row in read_rows(config.faces / "labels.csv", split="val") if row["file"] in described]
    bundle, ids = load_bundle(config.weights), image_ids(config.faces, rows)
    found = cached_features(ids, bundle.encoder, cache=config.cache, device=torch.device("cpu"))
    rigs = {"ours": answers(bundle, found.feature.astype(np.float32)).clip(0, 1), "peer": scores_of(rows)}
    return rigs, np.array([described[row["file"]] for row in rows])


def main(config: ViewersConfig) -> None:
    """Print the table."""
    rigs, true = of_clips(config) if config.clips else of_faces(config)
    moving = true.std(0) > 0.1
    shown = {name: strengths_of_rigs(values) for name, values in rigs.items()}
    r = {name: correlation(values, true) for name, values in shown.items()}
    scale = np.array([movement.seen for movement in MOVEMENTS])
    spread = {name: values.std(0) * scale / true.std(0).clip(1e-6) for name, values in shown.items()}
    print(f"{'movement':18s} {'std':>5s}" + "".join(f"  {name}: r, spread" for name in rigs))
    for k in np.flatnonzero(moving):
        parts = "".join(f"  {r[name][k]:8.2f} {spread[name][k]:6.2f}" for name in rigs)
        print(f"{NAMES[k]:18s} {true[:, k].std():5.2f}{parts}")
    for name in rigs:
        means = (np.nan_to_num(r[name][moving]).mean(), np.median(spread[name][moving]))
        print(f"{name}: mean r {means[0]:.3f}, median spread {means[1]:.2f}, {len(true)} faces")


if __name__ == "__main__":
    main(tyro.cli(ViewersConfig, description=__doc__))
