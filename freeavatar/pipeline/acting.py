"""From expression features to ARKit's blendshapes, as one avatar wants them."""

from pathlib import Path

import numpy as np

from freeavatar.avatars import Avatar, avatar_path
from freeavatar.files import content_id
from freeavatar.models import PORTRAIT_SIZE, Bundle, Identity, load_identity
from freeavatar.render import Renderer
from freeavatar.render.face_view import FaceView
from freeavatar.rig import ARKIT


def act(features: np.ndarray, identity: Identity, bundle: Bundle) -> np.ndarray:
    """Decode ARKit's blendshapes.

    Args:
        features: of the encoder, ``(T, D)`` float32.
        identity: of the avatar that is to play them, as :func:`identity_of` finds it.
        bundle: weights.

    Returns:
        ``(T, 52)`` float32 in [0, 1], in the order of :data:`freeavatar.rig.ARKIT`; 0 for what the decoder lacks.
    """
    order = [ARKIT.index(name) for name in bundle.decoder.config.controls]
    decoded = np.zeros((len(features), len(ARKIT)), np.float32)
    decoded[:, order] = bundle.decoder.decode(features, identity.code)
    return decoded


def identity_path(avatar: Avatar) -> Path:
    """Where the identity that was learned for an avatar is kept: beside its file."""
    return avatar.path.with_suffix(".identity.safetensors")


def identity_key(avatar: Avatar) -> tuple[str, str]:
    """What changes when the avatar's file does, or what was learned for it."""
    learned = identity_path(avatar)
    return avatar.content, content_id(learned) if learned.is_file() else ""


def identity_of(avatar: Avatar, bundle: Bundle) -> Identity:
    """The identity of an avatar: the bundle's own if the avatar is the one that goes by that name, what
    ``training.add_avatar`` learned, or else :func:`first_identity`."""
    known = bundle.identities.get(avatar.name)
    if known is not None and known.names == avatar.target_names and avatar_path(avatar.name) == avatar.path:
        return known
    learned = load_identity(identity_path(avatar), avatar.target_names, bundle.id, avatar.content)
    return learned or first_identity(avatar, bundle)


def first_identity(avatar: Avatar, bundle: Bundle) -> Identity:
    """Of an avatar nobody has met: the code is what the identity encoder makes of its neutral face, and the controls
    follow ARKit's blendshapes as its file declares."""
    code = np.zeros(bundle.decoder.config.code_size, np.float32)
    if bundle.identity_encoder is not None:
        code = bundle.identity_encoder.encode(FaceView(Renderer(avatar), PORTRAIT_SIZE).neutral())
    return Identity(avatar.target_names, code, avatar.drive)
