"""What a bundle knows of an avatar: as it was learned, or as the identity encoder sees it."""

import torch

from freeavatar.avatars import Avatar
from freeavatar.models import PORTRAIT_SIZE, Bundle, Identity
from freeavatar.pipeline.face_view import FaceView
from freeavatar.render import Renderer


def identity_of(avatar: Avatar, bundle: Bundle) -> Identity:
    """The identity of an avatar, on the device of the bundle's decoder.

    Of an avatar the bundle has not met, the code is what the identity encoder makes of its neutral face, and the
    controls follow ARKit's blendshapes as its file declares.
    """
    known = bundle.identities.get(avatar.name)
    if known is not None and known.names == avatar.target_names:
        return known
    device = next(bundle.decoder.parameters()).device
    identity = Identity(
        avatar.target_names, torch.from_numpy(avatar.drive), code_size=bundle.decoder.config.code_size
    ).requires_grad_(False)
    if bundle.renderer is not None:
        portrait = FaceView(Renderer(avatar), PORTRAIT_SIZE).neutral()
        image = torch.from_numpy(portrait).to(device).permute(2, 0, 1)[None].float() / 255
        identity.code.copy_(bundle.renderer.identity(image).code[0])
    return identity.to(device)
