"""Losses, and the drawing of triplets from the labels of a batch."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, layer_norm, one_hot, relu, smooth_l1_loss

MARGINS = (0.0, 0.1, 0.2, 0.2)
"""Margins of the triplet loss on squared distances by the number of classes of a triplet: one, two, three
(Vemulapalli and Agarwala 2019, section 4.2)."""


def rig_loss(predicted: Tensor, target: Tensor, deviation: Tensor, weight: Tensor, *, is_exact: bool) -> Tensor:
    """Error between rigs in units of each channel's standard deviation, so that rare channels count.

    Args:
        predicted: ``(B, K)``.
        target: ``(B, K)``.
        deviation: standard deviation of each channel, ``(K,)``.
        weight: of each channel, ``(K,)``; 0 masks it.
        is_exact: half the squared error, for labels that are true; else Huber's, for noisy ones. Huber's
            pulls channels that are seldom above 0 towards their median, which is 0.

    Returns:
        Scalar; the weighted mean over channels, averaged over the batch.
    """
    found, true = predicted / deviation, target / deviation
    error = (found - true).square() / 2 if is_exact else smooth_l1_loss(found, true, reduction="none")
    return (error * weight).sum(1).mean() / weight.sum()


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


def triplet_loss(embedding: Tensor, triplets: Tensor, margin: Tensor | float) -> Tensor:
    """FECNet's loss in both orders: the similar pair is closer than either is to the odd one out
    (Vemulapalli and Agarwala 2019, equation 1).

    Args:
        embedding: unit length, ``(B, D)``.
        triplets: indices of anchor, positive, negative, ``(T, 3)``.
        margin: on squared distances, of all triplets or of each, ``(T,)``.

    Returns:
        Scalar; 0 for no triplets.
    """
    if len(triplets) == 0:
        return embedding.sum() * 0
    a, p, n = (embedding[triplets[:, k]] for k in range(3))
    near = (a - p).square().sum(1)
    return (relu(near - (a - n).square().sum(1) + margin) + relu(near - (p - n).square().sum(1) + margin)).mean()


def emotion_loss(told: Tensor, emotions: Tensor) -> Tensor:
    """Cross-entropy with labels smoothed by a tenth, for they are noisy.

    Args:
        told: logits, ``(B, C)``.
        emotions: class of each image, ``(B,)`` int64; -1 for images without one.

    Returns:
        Scalar: the mean over images that have a class; 0 if none has.
    """
    total = cross_entropy(told, emotions, ignore_index=-1, label_smoothing=0.1, reduction="sum")
    return total / (emotions >= 0).sum().clamp_min(1)


def distillation_loss(
    feature: Tensor, embedding: Tensor, teacher: tuple[Tensor, Tensor], *, embedding_share: float = 1.0
) -> Tensor:
    """How far a student is from its teacher.

    Args:
        feature: the student's, brought to the teacher's dimensions, ``(B, F)``.
        embedding: the student's, unit length, ``(B, D)``.
        teacher: the teacher's feature ``(B, F)`` and embedding ``(B, D)``, without gradient.
        embedding_share: weight of the embedding's part.

    Returns:
        Scalar: mean squared error of the features, each brought to mean 0 and variance 1, plus one minus the
        cosine between the embeddings, times its share.
    """
    shape = feature.shape[-1:]
    apart = (layer_norm(feature, shape) - layer_norm(teacher[0], shape)).square().mean()
    return apart + embedding_share * (1 - cosine_similarity(embedding, teacher[1]).mean())


def picture_loss(found: Tensor, true: Tensor, regions: Tensor, region_weight: float) -> dict[str, Tensor]:
    """L1 on the whole picture, and weighted on its regions.

    Args:
        found: ``(B, 3, S, S)``.
        true: ``(B, 3, S, S)``.
        regions: in [0, 1], ``(B, 1, S, S)``, or ``(1, 1, S, S)`` for all.
        region_weight: of the regions' mean error.
    """
    error = (found - true).abs().mean(1, keepdim=True)
    regions = regions.expand_as(error)
    inside = (error * regions).sum() / regions.sum().clamp_min(1)
    return {"whole": error.mean(), "regions": region_weight * inside}
