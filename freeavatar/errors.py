"""Errors a user can act on. Each message says what was wrong, what was expected, what to do."""


class FreeAvatarError(Exception):
    """Base of every error this package raises on bad input."""


class InputError(FreeAvatarError):
    """An argument or an input path that cannot be used."""


class VideoError(FreeAvatarError):
    """A video that cannot be read or written."""


class FaceError(FreeAvatarError):
    """An input in which no usable face was found."""


class AvatarError(FreeAvatarError):
    """An avatar file that cannot be driven."""


class WeightsError(FreeAvatarError):
    """Weights that are missing, of another version or of another rig."""
