"""On a machine with CUDA: the same answers and pictures as on the CPU."""

import numpy as np
import onnxruntime
import pytest
import torch

from freeavatar import models
from freeavatar.avatars import load_avatar
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.networks import load_bundle
from freeavatar.render import Look, Renderer
from freeavatar.rig import ARKIT

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def test_answers_are_those_of_the_cpu():
    views = torch.rand(8, 1, 144, 144, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        rigs = []
        for device in ("cpu", "cuda"):
            bundle = load_bundle(DEFAULT_WEIGHTS)
            feature, _ = bundle.encoder.to(device)(views.to(device))
            rigs.append(bundle.decoder.to(device)(feature).cpu())
    torch.testing.assert_close(rigs[0], rigs[1], atol=5e-3, rtol=0)


def test_graphs_give_on_cuda_what_they_give_on_the_cpu():
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is not installed")
    crops = list(np.random.default_rng(0).integers(0, 256, (4, 144, 144, 3), np.uint8))
    rigs = []
    for device, provider in (("cpu", "CPUExecutionProvider"), ("cuda", "CUDAExecutionProvider")):
        bundle = models.load_bundle(DEFAULT_WEIGHTS, device=device)
        assert bundle.encoder.graph.check()[0] == bundle.decoder.graph.check()[0] == provider
        features, _ = bundle.encoder.encode(crops)
        rigs.append(bundle.decoder.decode(features, np.zeros(models.CODE_SIZE, np.float32)))
    np.testing.assert_allclose(rigs[0], rigs[1], atol=5e-3)


@pytest.fixture(scope="module")
def renderers() -> list[Renderer]:
    pytest.importorskip("nvdiffrast", reason="nvdiffrast is not installed")
    both = [Renderer(load_avatar("ines"), device=device) for device in ("cpu", "cuda")]
    if both[1].device.type != "cuda":
        pytest.skip("nvdiffrast does not build here")
    return both


def test_nvdiffrast_draws_the_picture_of_the_cpu(renderers):
    weights = np.zeros(len(renderers[0].avatar.target_names), np.float32)
    weights[renderers[0].avatar.target_names.index("jawOpen")] = 0.7
    one, other = (renderer.picture(weights, look=Look((192, 192))).astype(int) for renderer in renderers)
    apart = np.abs(one - other)
    assert apart.mean() < 1 and (apart > 24).mean() < 0.01


def test_a_batch_is_drawn_as_its_pictures_are(renderers):
    drawn = renderers[1]
    weights = np.linspace(0, 0.6, 4 * len(drawn.avatar.target_names), dtype=np.float32).reshape(4, -1)
    heads, look = np.zeros((4, 3), np.float32), Look((192, 192))
    together = drawn.pictures(weights, heads, look=look, camera=drawn.camera())
    for row, found in zip(weights, together, strict=True):
        assert np.abs(found.astype(int) - drawn.picture(row, np.zeros(3), look=look)).max() <= 2


def test_gradients_of_a_picture_are_those_of_the_cpu(renderers):
    gradients = []
    for renderer in renderers:
        weights = torch.full((1, len(renderer.avatar.target_names)), 0.2, device=renderer.device, requires_grad=True)
        picture = renderer.render(weights, look=Look((96, 96), supersample=2))
        (picture * torch.linspace(0, 1, picture.shape[-1], device=renderer.device)).sum().backward()
        gradients.append(weights.grad.cpu().ravel()[: len(ARKIT)])
    likeness = torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0)
    assert likeness > 0.95
