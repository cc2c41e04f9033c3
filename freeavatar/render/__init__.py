"""Rendering: one renderer an avatar; it draws by numba (``compiled``) or, with gradients, in torch
(``differentiable``)."""

from freeavatar.render.kernel_cache import use_kernels_folder

use_kernels_folder()  # before any kernel is defined

from freeavatar.render.camera import Camera  # noqa: E402
from freeavatar.render.look import Light, Lighting, Look  # noqa: E402
from freeavatar.render.renderer import Renderer  # noqa: E402

__all__ = ["Camera", "Light", "Lighting", "Look", "Renderer"]
