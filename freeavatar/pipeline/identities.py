"""What a bundle knows of an avatar: as it was learned, or as the identity encoder sees it."""

from pathlib import Path

import torch

from freeavatar.avatars import Avatar
from freeavatar.models import PORTRAIT_SIZE, Bundle, Identity
from freeavatar.models.identity import load_identity
from freeavatar.pipeline.face_view import FaceView
from freeavatar.render import Renderer


def identity_path(avatar: Avatar) -> Path:
    """Where the identity that was learned for an avatar is kept: beside its file."""
    return avatar.path.with_suffix(".identity.safetensors")


def identity_of(avatar: Avatar, bundle: Bundle) -> Identity:
    """The identity of an avatar, on the device of the bundle's decoder: the bundle's own, what
    ``training.add_avatar`` learned, or else :func:`first_identity`."""
    known = bundle.identities.get(avatar.name)
    if known is not None and known.names == avatar.target_names:
        return known
    device = next(bundle.decoder.parameters()).device
    learned = load_identity(identity_path(avatar), avatar.target_names, bundle.id)
    return (learned or first_identity(avatar, bundle)).to(device)


def first_identity(avatar: Avatar, bundle: Bundle) -> Identity:
    """Of an avatar nobody has met: the code is what the identity encoder makes of its neutral face, and the controls
    follow ARKit's blendshapes as its file declares."""
    drive = torch.from_numpy(avatar.drive)
    identity = Identity(avatar.target_names, drive, code_size=bundle.decoder.config.code_size).requires_grad_(False)
    if bundle.renderer is not None:
        portrait = FaceView(Renderer(avatar), PORTRAIT_SIZE).neutral()
        device = next(bundle.renderer.parameters()).device
        image = torch.from_numpy(portrait).to(device).permute(2, 0, 1)[None].float() / 255
        identity.code.copy_(bundle.renderer.identity(image).code[0])
    return identity
