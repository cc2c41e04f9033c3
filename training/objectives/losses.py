"""Losses."""

from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, layer_norm, relu

LEAK = 0.05
"""Slope beyond the ends of a control's range, so that a weight out of range can come back."""


def bounded(weights: Tensor) -> Tensor:
    """Weights clamped to [0, 1], with a little gradient left outside."""
    inside = weights.clamp(0, 1)
    outside = LEAK * (weights - inside)
    return inside + outside - outside.detach()


def rig_loss(predicted: Tensor, target: Tensor, deviation: Tensor) -> Tensor:
    """Half the squared error between rigs in units of each channel's standard deviation, so that rare channels count.

    Args:
        predicted: ``(B, K)``.
        target: ``(B, K)``, NaN where nothing is known.
        deviation: standard deviation of each channel, ``(K,)``.

    Returns:
        Scalar; the mean over what is known.
    """
    known = ~target.isnan()
    error = ((predicted - target.nan_to_num()) / deviation).square() * known / 2
    return error.sum() / known.sum().clamp_min(1)


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


def emotion_loss(logits: Tensor, emotions: Tensor) -> Tensor:
    """Cross-entropy with labels smoothed by a tenth, for they are noisy.

    Args:
        logits: logits, ``(B, C)``.
        emotions: class of each image, ``(B,)`` int64; -1 for images without one.

    Returns:
        Scalar: the mean over images that have a class; 0 if none has.
    """
    total = cross_entropy(logits, emotions, ignore_index=-1, label_smoothing=0.1, reduction="sum")
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
