"""Drawing triplets from what is known of images: rigs, classes, avatars.

Every function returns rows ``(T, 3)`` of anchor, positive and negative into the arrays it was given, and gives
up on draws that do not fit rather than bending the rule: fewer than asked for may come back.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from freeavatar.errors import InputError

BLOCK = 1024
"""Images compared with one another at a time."""
NOTABLE = 0.4
"""Distance beyond which two rigs look different: a one-sided smile of 0.3 from its mirror image."""
HARD = 0.5
"""Share of negatives on the anchor's avatar that are the most similar notably different rig."""


def draw_clear(rigs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Triplets whose odd one out is clear from their rigs ``(N, K)``, on one scale.

    Raises:
        InputError: the rigs hardly ever make one.
    """
    found = [np.empty((0, 3), np.int64)]
    tries, total = 0, 0
    while total < count:
        rows = rng.permutation(len(rigs))[:BLOCK]
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        mined = mine_triplets(torch.from_numpy(rigs[rows]), 4 * len(rows), generator).numpy()
        # Rounding leaves an image a little way from itself.
        mined = mined[mined[:, 0] != mined[:, 1]]
        found.append(rows[mined])
        total, tries = total + len(mined), tries + 1
        if tries >= 20 and total < tries:
            raise InputError("{} faces give hardly a clear comparison: label more of them.", len(rigs))
    return np.concatenate(found)[:count]


def draw_classes(
    classes: Sequence[str], persons: Sequence[str], count: int, rng: np.random.Generator, *, fewest: int = 2
) -> np.ndarray:
    """Triplets of which the first two share a class, drawn evenly, and no two images show one known person.

    Args:
        classes: class of each image; images with an empty one are left out.
        persons: person of each image, or empty.
        count: how many to draw.
        rng: source of randomness.
        fewest: images a class must have; with a handful, even draws would show the same ones all the time.

    Raises:
        InputError: fewer than two classes have enough images.
    """
    members: dict[str, list[int]] = {}
    for k, name in enumerate(classes):
        if name:
            members.setdefault(name, []).append(k)
    pools = [np.array(rows) for rows in members.values() if len(rows) >= max(fewest, 2)]
    if len(pools) < 2:
        raise InputError("{} classes have {} images or more, expected at least two: label more.", len(pools), fewest)
    same = rng.integers(len(pools), size=count)
    other = (same + rng.integers(1, len(pools), size=count)) % len(pools)
    rows = np.stack([_pick(pools, which, rng) for which in (same, same, other)], 1)
    whose = np.array([name or f"nobody {k}" for k, name in enumerate(persons)])
    a, p, n = whose[rows].T
    return rows[(a != p) & (a != n) & (p != n)]


def _pick(pools: list[np.ndarray], which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sizes = np.array([len(pool) for pool in pools])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.concatenate(pools)[starts[which] + rng.integers(sizes[which])]


def draw_recast(
    expressions: np.ndarray, avatars: np.ndarray, rigs: np.ndarray, count: int, rng: np.random.Generator,
    *, hard: float = HARD,
) -> np.ndarray:  # fmt: skip
    """Triplets of a render, its rig on another avatar, and another rig on its own avatar.

    Args:
        expressions: number of the rig of each render, ``(N,)``.
        avatars: number of the avatar of each render, ``(N,)``.
        rigs: ``(N, 52)``.
        count: how many to draw.
        rng: source of randomness.
        hard: share of negatives that are the most similar rig beyond :data:`NOTABLE`; the others are drawn at
            random beyond it.

    Raises:
        InputError: no rig is on two avatars.
    """
    order = np.argsort(expressions, kind="stable")
    groups = [g for g in np.split(order, np.flatnonzero(np.diff(expressions[order])) + 1) if len(g) > 1]
    if not groups:
        raise InputError("no rig is shown by two avatars: render them with training.render_faces --repeats 4.")
    rows = []
    own = {avatar: np.flatnonzero(avatars == avatar) for avatar in np.unique(avatars)}
    for which in rng.integers(len(groups), size=count):
        anchor, positive = rng.choice(groups[which], 2, replace=False)
        if avatars[anchor] == avatars[positive]:
            continue
        others = own[avatars[anchor]]
        distance = np.linalg.norm(rigs[others] - rigs[anchor], axis=1)
        far = np.flatnonzero(distance > NOTABLE)
        if len(far):
            pick = far[distance[far].argmin()] if rng.uniform() < hard else rng.choice(far)
            rows.append((anchor, positive, others[pick]))
    return np.array(rows, np.int64).reshape(-1, 3)


def draw_acted(rigs: np.ndarray, count: int, rng: np.random.Generator, *, candidates: int = 256) -> np.ndarray:
    """Triplets of a real image, the render of its rig, and the render of a rig farther than the median.

    Args:
        rigs: what image ``k`` and render ``k`` show, ``(N, K)``.
        count: how many to draw.
        rng: source of randomness.
        candidates: renders among which the median is taken, for each triplet.

    Returns:
        Number of the image, of its render (the same) and of the other render, ``(T, 3)``.
    """
    anchors = rng.integers(len(rigs), size=count)
    rows = np.empty((count, 3), np.int64)
    for k, anchor in enumerate(anchors):
        others = np.arange(len(rigs)) if candidates >= len(rigs) else rng.integers(len(rigs), size=candidates)
        distance = np.linalg.norm(rigs[others] - rigs[anchor], axis=1)
        far = others[distance > np.median(distance)]
        rows[k] = anchor, anchor, rng.choice(far if len(far) else others[[distance.argmax()]])
    return rows


def mine_triplets(rigs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw triplets of a batch whose odd one out is clear from their rigs.

    Args:
        rigs: rig weights on one scale, ``(B, K)``.
        count: how many to draw; those that are not clear are dropped.
        generator: source of randomness.

    Returns:
        Indices of anchor, positive, negative, ``(T, 3)``, three images each: the first two lie within 0.6 of the
        shorter of their distances to the third.
    """
    triplets = torch.randint(len(rigs), (count, 3), generator=generator)
    distance = torch.cdist(rigs, rigs)
    sides = torch.stack([distance[triplets[:, i], triplets[:, j]] for i, j in ((0, 1), (0, 2), (1, 2))], 1)
    closest = sides.argmin(1)
    order = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[closest]
    triplets = triplets.gather(1, order)
    near, far = sides.sort(1).values[:, :2].unbind(1)
    is_three = (triplets != triplets.roll(1, 1)).all(1)
    return triplets[is_three & (near < 0.6 * far)]


def draw_class_triplets(labels: Tensor, per_anchor: int, generator: torch.Generator) -> Tensor:
    """Draw triplets of a batch from class labels, all pairs of classes as often as one another.

    Args:
        labels: class of each image, ``(B,)`` int64; negative for images without one.
        per_anchor: how many to draw for each image that has a class.
        generator: source of randomness.

    Returns:
        Indices of anchor, positive, negative, ``(T, 3)``; anchor and positive share a class, the negative has
        another one. Empty if no class occurs twice or there is only one.
    """
    known = labels >= 0
    if not known.any():
        return torch.empty(0, 3, dtype=torch.long)
    members = one_hot(labels.clamp_min(0)) * known[:, None]
    same = (members @ members.T).float()
    rarity = known / same.sum(1).clamp_min(1)
    other = (known[None, :] & (same == 0)) * rarity[None, :]
    same = same.fill_diagonal_(0)
    useful = (same.sum(1) > 0) & (other.sum(1) > 0)
    if not useful.any():
        return torch.empty(0, 3, dtype=torch.long)
    anchors = torch.multinomial(useful * rarity, per_anchor * int(useful.sum()), replacement=True, generator=generator)
    positives = torch.multinomial(same[anchors], 1, generator=generator)[:, 0]
    negatives = torch.multinomial(other[anchors], 1, generator=generator)[:, 0]
    return torch.stack([anchors, positives, negatives], 1)
