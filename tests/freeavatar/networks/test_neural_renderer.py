import pytest
import torch

from freeavatar.models import PORTRAIT_SIZE
from freeavatar.networks import POSE_SIZE, Identity, NeuralRenderer, NeuralRendererConfig, load_renderer, save_renderer
from freeavatar.rig import ARKIT


@pytest.fixture(scope="module")
def renderer() -> NeuralRenderer:
    torch.manual_seed(0)
    made = NeuralRenderer(NeuralRendererConfig(hidden_size=32, plan_size=4)).eval()
    torch.nn.init.normal_(made.out.weight, std=0.05)
    return made


@pytest.fixture(scope="module")
def portraits() -> torch.Tensor:
    return torch.rand(2, 3, PORTRAIT_SIZE, PORTRAIT_SIZE, generator=torch.Generator().manual_seed(1))


def test_pictures_are_in_range_and_of_the_portraits_size(renderer, portraits):
    pictures = renderer(torch.rand(2, POSE_SIZE), renderer.identity(portraits))
    assert pictures.shape == portraits.shape and pictures.min() >= 0 and pictures.max() <= 1


def test_an_untrained_one_shows_mostly_the_neutral_face(portraits):
    picture = NeuralRenderer(NeuralRendererConfig())(torch.zeros(2, POSE_SIZE), _look(portraits))
    assert (picture - portraits).abs().mean() < (0.5 - portraits).abs().mean() / 2


def _look(portraits: torch.Tensor):
    return NeuralRenderer(NeuralRendererConfig()).identity(portraits)


def test_the_gradient_reaches_the_pose(renderer, portraits):
    poses = torch.zeros(2, POSE_SIZE, requires_grad=True)
    renderer(poses, renderer.identity(portraits)).sum().backward()
    assert poses.grad is not None and (poses.grad != 0).all()


def test_one_avatar_gives_what_a_batch_of_them_gives(renderer, portraits):
    poses, look = torch.rand(2, POSE_SIZE), renderer.identity(portraits)
    together = renderer(poses, look)
    alone = torch.cat([renderer(poses[k : k + 1], look.rows(torch.tensor([k]))) for k in range(2)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_an_identity_begins_with_what_the_file_declares():
    drive = torch.zeros(2, len(ARKIT))
    drive[0, ARKIT.index("jawOpen")], drive[1, ARKIT.index("mouthSmileLeft")] = 0.5, 1.0
    identity = Identity(("open", "grin"), drive)
    rig = torch.zeros(1, len(ARKIT))
    rig[0, ARKIT.index("jawOpen")] = 0.8
    torch.testing.assert_close(identity.controls(rig), torch.tensor([[0.4, 0.0]]))
    pose = identity.poses(torch.tensor([[0.0, 1.0, 7.0]]))
    assert pose.shape == (1, POSE_SIZE) and pose[0, ARKIT.index("mouthSmileLeft")] == 1 and pose.sum() == 1


def test_renderers_round_trip(renderer, portraits, tmp_path):
    identity = Identity(("grin",), torch.rand(1, len(ARKIT)))
    save_renderer(tmp_path, renderer, {"pip": identity}, {})
    loaded, identities = load_renderer(tmp_path)
    poses = torch.rand(2, POSE_SIZE)
    expected = renderer(poses, renderer.identity(portraits))
    torch.testing.assert_close(loaded(poses, loaded.identity(portraits)), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(identities["pip"].pose, identity.pose, rtol=1e-2, atol=1e-3)
