"""Guess the rigs of real faces: what a bundle answers, joined with what landmarks say.

    python -m training.label_faces --faces FACES --renders RENDERS --held-out HELD_OUT --weights BUNDLE

Nobody knows a real face's rig. Here two guess, by other means, so that their errors differ: the bundle, which learned
renders and sees skin, and a small network that reads landmarks, which does not care how a face is drawn or lit. The
network learns from RENDERS; both are weighed, channel by channel, by the square of their correlation with the truth on
HELD_OUT, people from whom neither learned, and their mean is brought to the truth's spread there; on real faces, to
that of what both guesses share. The median of faces that people called neutral is rest. All folders hold
``landmarks.npy`` of ``training/find_landmarks.py``. ``rigs.npy`` is written beside ``FACES/labels.csv``, where
:func:`training.data.labelled_faces.read_rigs` finds it. Training alone reads it: landmarks drive nobody.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import replacing
from freeavatar.networks import Bundle, load_bundle
from freeavatar.rig import ARKIT, mirrored
from training.data.images import crop_size, list_images, open_images
from training.data.labelled_faces import RIGS, image_ids, read_table
from training.measure.figures import correlation
from training.objectives.losses import rig_loss
from training.strengthen import answers_of

logger = logging.getLogger(__name__)

LANDMARKS, POINTS = "landmarks.npy", 478
_STILL = (
    10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 168, 6, 197, 195, 127, 356, 234, 454, 93, 323, 33, 263, 133, 362,
)  # fmt: skip
"""Landmarks that expressions hardly move: forehead, temples, bridge of the nose, corners of the eyes."""
_ACROSS = ((33, 263), (133, 362), (127, 356), (234, 454))
"""Landmarks that are each other's mirror image, right before left."""
_TOP, _CHIN = 10, 152
_COMPONENTS, _HIDDEN, _BATCH = 220, 768, 256
_BLUR = 0.15
"""Noise on the components in units of their spread: landmarks of the same face differ by as much."""
_MOST = 2.5
"""Factor by which a guess is made stronger at most."""
_MOST_REAL = 1.5
"""The same on real faces, besides."""
_CHUNK = 2048
_FEWEST = 10
"""Faces with landmarks that a folder must have."""
_TELLING = 0.2
"""Correlation of two guesses on renders from which they say how strong real faces are."""


@dataclass(frozen=True)
class LabelConfig:
    """Whom to label, by what."""

    faces: Path
    """Folder with images.zip, labels.csv and landmarks.npy."""
    renders: tuple[Path, ...]
    """Folders of training.render_faces with landmarks.npy, to learn from."""
    held_out: tuple[Path, ...]
    """The same, of other people, to weigh by."""
    weights: Path
    """Bundle that guesses, too."""
    epochs: int = 25
    cache: Path | None = None
    """Folder for decoded images; by default the one that ``faces`` lies in."""


class LandmarkReader(nn.Module):
    """Rigs from landmarks: turned to the front, reduced to principal components, then two hidden layers."""

    def __init__(self, landmarks: np.ndarray) -> None:
        """Find the mean face, its axes and the components.

        Args:
            landmarks: ``(N, 478, 3)``, none of them NaN.
        """
        super().__init__()
        self._mean = _upright(_mean_face(landmarks))
        flipped = self._mean * [-1, 1, 1]
        self._twin = ((flipped[:, None] - self._mean) ** 2).sum(2).argmin(1)
        values = np.concatenate([self._flat(landmarks), self._flat(self.mirror(landmarks))])
        self._middle = values.mean(0)
        few = values[:: max(1, len(values) // 6000)] - self._middle
        self._axes = np.linalg.eigh(few.T @ few)[1][:, : -_COMPONENTS - 1 : -1]
        spread = (few @ self._axes).std(0)
        self._spread = np.maximum(spread, 0.004 * spread[0])
        count = self._axes.shape[1]
        self.layers = nn.Sequential(
            nn.Linear(count, _HIDDEN), nn.SiLU(), nn.Dropout(0.15), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU(),
            nn.Dropout(0.15), nn.Linear(_HIDDEN, len(ARKIT)),
        )  # fmt: skip

    def mirror(self, landmarks: np.ndarray) -> np.ndarray:
        """Landmarks of the mirror images."""
        return (landmarks * [-1, 1, 1])[:, self._twin]

    def components(self, landmarks: np.ndarray) -> Tensor:
        """What the layers get of landmarks ``(N, 478, 3)``."""
        return torch.from_numpy(((self._flat(landmarks) - self._middle) @ self._axes) / self._spread).float()

    @torch.inference_mode()
    def read(self, landmarks: np.ndarray) -> np.ndarray:
        """Rigs ``(N, 52)``, unbounded, the mean of those of a face and its mirror image; NaN without landmarks."""
        rigs = np.full((len(landmarks), len(ARKIT)), np.nan, np.float32)
        rows = _found(landmarks)
        for start in range(0, len(rows), _CHUNK):
            some = landmarks[rows[start : start + _CHUNK]].astype(np.float32)
            here, there = (self.layers(self.components(one)).numpy() for one in (some, self.mirror(some)))
            rigs[rows[start : start + _CHUNK]] = (here + there[:, mirrored(ARKIT)]) / 2
        return rigs

    def _flat(self, landmarks: np.ndarray) -> np.ndarray:
        """Where every landmark is off the mean face, and how the head is turned."""
        fitted, turns = _fitted(landmarks, self._mean)
        count = len(landmarks)
        return np.concatenate([(fitted - self._mean).reshape(count, -1), 0.1 * turns.reshape(count, -1)], axis=1)


def _found(landmarks: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~np.isnan(landmarks[:, 0, 0]))


def _fitted(landmarks: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks turned, scaled and shifted so that those which hardly move come to lie on the mean face's (Umeyama
    1991), and the turns ``(N, 3, 3)``."""
    still = list(_STILL)
    source, target = landmarks[:, still], mean[still] - mean[still].mean(0)
    middle = source.mean(1, keepdims=True)
    u, values, vt = np.linalg.svd(np.einsum("nki,kj->nij", source - middle, target))
    signs = np.ones((len(landmarks), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    turns = np.einsum("nij,nj,njk->nik", u, signs, vt)
    scale = (values * signs).sum(1) / ((source - middle) ** 2).sum((1, 2))
    return ((landmarks - middle) @ turns) * scale[:, None, None] + mean[still].mean(0), turns


def _mean_face(landmarks: np.ndarray) -> np.ndarray:
    mean = landmarks[0] - landmarks[0].mean(0)
    for _ in range(4):
        mean = _fitted(landmarks, mean)[0].mean(0)
        mean -= mean[list(_STILL)].mean(0)
        mean /= np.sqrt((mean**2).sum(1).mean())
    return mean


def _upright(mean: np.ndarray) -> np.ndarray:
    """The mean face with x across it and y down it, and both sides alike."""
    across = np.mean([mean[left] - mean[right] for right, left in _ACROSS], axis=0)
    across /= np.linalg.norm(across)
    down = mean[_CHIN] - mean[_TOP]
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    turned = mean @ np.stack([across, down, np.cross(across, down)]).T
    twin = ((turned[:, None] * [-1, 1, 1] - turned) ** 2).sum(2).argmin(1)
    return (turned + turned[twin] * [-1, 1, 1]) / 2


def fit_reader(landmarks: np.ndarray, rigs: np.ndarray, *, epochs: int) -> LandmarkReader:
    """Learn to read rigs.

    Args:
        landmarks: ``(N, 478, 3)``; those that are NaN are passed over.
        rigs: ``(N, 52)``.
        epochs: times that every face is seen.
    """
    torch.manual_seed(0)
    rows = _found(landmarks)
    landmarks, rigs = landmarks[rows].astype(np.float32), rigs[rows].astype(np.float32)
    reader = LandmarkReader(landmarks)
    seen = torch.cat([reader.components(landmarks), reader.components(reader.mirror(landmarks))])
    true = torch.from_numpy(np.concatenate([rigs, rigs[:, mirrored(ARKIT)]]))
    deviation = true.std(0).clamp_min(0.08)
    steps = max(1, len(seen) // _BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(seen))
        for step in range(steps):
            some = order[step * _BATCH : (step + 1) * _BATCH]
            blurred = seen[some] + _BLUR * torch.randn(len(some), seen.shape[1])
            loss = rig_loss(reader.layers(blurred), true[some], deviation)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    return reader.eval()


@dataclass(frozen=True)
class Weighing:
    """How two guesses are joined, ``(52,)`` each."""

    first: np.ndarray
    second: np.ndarray
    """Factors on the guesses when there are both."""
    alone: np.ndarray
    """Factor on the first when there is no other."""

    def join(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """One guess ``(N, 52)`` of two; the second may be NaN."""
        return np.where(np.isnan(second), first * self.alone, first * self.first + np.nan_to_num(second) * self.second)


def weigh(first: np.ndarray, second: np.ndarray, truth: np.ndarray) -> Weighing:
    """Weights by the squared correlation of either guess with the truth, the same on both sides of the face, and a
    spread like the truth's, ``(N, 52)`` each."""
    sides = mirrored(ARKIT)
    both = ~np.isnan(second).any(1)
    one, other, true = (
        np.concatenate([values[both], values[both][:, sides]]).astype(np.float64) for values in (first, second, truth)
    )
    shares = [np.maximum(correlation(guess, true), 0.02) ** 2 / guess.std(0).clip(1e-3) for guess in (one, other)]
    mean = one * shares[0] + other * shares[1]
    spread = true.std(0)
    gain = np.minimum(spread, _MOST * _spread_of(one, other, shares)) / mean.std(0).clip(1e-6)
    alone = np.minimum(spread / one.std(0).clip(1e-3), _MOST)
    return Weighing(shares[0] * gain, shares[1] * gain, alone)


def strength(
    real: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray], truth: np.ndarray, moved: np.ndarray
) -> np.ndarray:
    """Factors ``(52,)``, 1 or more and the same on both sides, that give real faces the spread they have.

    Two guesses by other means err apart, so that their covariance is that of the truth, times a constant which renders
    tell: how much both guesses shrink it.

    Args:
        real: both guesses on real faces, ``(N, 52)`` each; the second may be NaN.
        held_out: both guesses on renders.
        truth: of the renders.
        moved: how far real faces are from rest by the joined guess, 0 or more.
    """
    known, shared, both = _shared(*held_out), _shared(*real), ~np.isnan(held_out[1]).any(1)
    deviations = [guess[both].std(0) for guess in held_out]
    agreed = known / np.maximum(deviations[0] * deviations[1], 1e-6) > _TELLING
    spread = truth.std(0) * np.sqrt(shared.clip(0) / known.clip(1e-6))
    factor = np.clip(np.where(agreed, spread / moved.std(0).clip(1e-3), 1), 1, _MOST_REAL)
    return (factor + factor[mirrored(ARKIT)]) / 2


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Covariance of two guesses, the mean of both sides of the face, ``(52,)``."""
    rows = ~np.isnan(second).any(1)
    first, second = first[rows] - first[rows].mean(0), second[rows] - second[rows].mean(0)
    shared = (first * second).mean(0)
    return (shared + shared[mirrored(ARKIT)]) / 2


def _spread_of(one: np.ndarray, other: np.ndarray, shares: list[np.ndarray]) -> np.ndarray:
    """Spread of the guesses, by their shares."""
    weights = [share * guess.std(0) for share, guess in zip(shares, (one, other), strict=True)]
    return (weights[0] * one.std(0) + weights[1] * other.std(0)) / np.sum(weights, axis=0)


def label_faces(config: LabelConfig) -> np.ndarray:
    """Write ``rigs.npy``, and return the rigs ``(N, 52)``.

    Raises:
        InputError, WeightsError: a folder lacks a file, no face is called neutral, or the bundle is damaged.
    """
    rows = read_table(config.faces / "labels.csv")
    neutral = np.array([row.get("emotion") == "neutral" for row in rows])
    if not neutral.any():
        raise InputError("{} calls no face neutral: what is rest is not known.", config.faces / "labels.csv")
    bundle, cache = load_bundle(config.weights), config.cache or config.faces.parent
    landmarks, (others, truth) = _landmarks(config.faces, len(rows)), _renders(config.held_out)
    reader = fit_reader(*_renders(config.renders), epochs=config.epochs)
    held_out = _answers(bundle, list_images(config.held_out), cache), reader.read(others)
    weighing, known = weigh(*held_out, truth), truth.std(0) > 0.03
    for name, guess in zip(("bundle", "landmarks", "both"), (*held_out, weighing.join(*held_out)), strict=True):
        found = ~np.isnan(guess).any(1)
        print(f"{name}: mean r with the truth {correlation(guess[found], truth[found])[known].mean():.3f}")
    ids = image_ids(config.faces, rows)
    real = _answers(bundle, ids, cache), reader.read(landmarks)
    joined = weighing.join(*real)
    moved = (joined - np.median(joined[neutral], axis=0)).clip(0)
    rigs = np.clip(moved * strength(real, held_out, truth, moved), 0, 1).astype(np.float16)
    with replacing(config.faces / RIGS) as temporary, temporary.open("wb") as out:
        np.save(out, rigs)
    return rigs


def _renders(folders: tuple[Path, ...]) -> tuple[np.ndarray, np.ndarray]:
    rigs = [_load(folder, "rigs.npy") for folder in folders]
    landmarks = [_landmarks(folder, len(own)) for folder, own in zip(folders, rigs, strict=True)]
    return np.concatenate(landmarks), np.concatenate(rigs)


def _landmarks(folder: Path, count: int) -> np.ndarray:
    landmarks = _load(folder, LANDMARKS)
    if landmarks.shape != (count, POINTS, 3) or len(_found(landmarks)) < _FEWEST:
        raise InputError(
            "{} has {} faces, {} of them with landmarks, for {} images: expected {} or more; find them again.",
            folder / LANDMARKS, len(landmarks), len(_found(landmarks)), count, _FEWEST,
        )  # fmt: skip
    return landmarks


def _load(folder: Path, name: str) -> np.ndarray:
    if not (folder / name).is_file():
        raise InputError(
            "{} lacks {}: landmarks come from training/find_landmarks.py, rigs from training.render_faces.",
            folder, name,
        )  # fmt: skip
    return np.load(folder / name)


def _answers(bundle: Bundle, ids: list[str], cache: Path) -> np.ndarray:
    """What a bundle answers, the mean of an image's and its mirror image's, ``(N, 52)``."""
    pool = open_images(ids, cache=cache, size=crop_size(bundle.encoder.config.image_size))
    parts = []
    for start in range(0, len(pool), _CHUNK):
        crops = pool.gather(np.arange(start, min(start + _CHUNK, len(pool))))
        here, there = answers_of(bundle, crops), answers_of(bundle, crops[..., ::-1])
        parts.append((here + there[:, mirrored(ARKIT)]) / 2)
        logger.info("%d of %d", start + len(crops), len(pool))
    return np.concatenate(parts)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(len(label_faces(tyro.cli(LabelConfig, description=__doc__))), "faces")
    except FreeAvatarError as error:
        sys.exit(f"training.label_faces: {error}")
