"""Rendering: nvdiffrast's primitives (numba on the CPU), shading in torch, one renderer an avatar."""

from freeavatar.render.camera import Camera
from freeavatar.render.look import Look
from freeavatar.render.renderer import Renderer
from freeavatar.render.shading import Light, Lighting

__all__ = ["Camera", "Light", "Lighting", "Look", "Renderer"]
