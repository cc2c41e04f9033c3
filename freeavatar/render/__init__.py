"""Rendering: nvdiffrast's primitives (numba on the CPU), shading in torch, one renderer an avatar."""

from freeavatar.render.kernel_cache import use_kernels_folder

use_kernels_folder()  # before any kernel is defined

from freeavatar.render.camera import Camera  # noqa: E402
from freeavatar.render.look import Look  # noqa: E402
from freeavatar.render.renderer import Renderer  # noqa: E402
from freeavatar.render.shading import Light, Lighting  # noqa: E402

__all__ = ["Camera", "Light", "Lighting", "Look", "Renderer"]
