"""FreeAvatar: one face video in, every 3D avatar plays the same expression.

The path of the data is the path of the folders::

    video -> faces -> models -> (rig) -> avatars -> render -> video, export

Conventions, everywhere:

- Images at the edges are HWC uint8 RGB; inside they are NCHW float32 in [0, 1].
- Points are ``(x, y)`` in pixels, x to the right, y down; sizes are ``(H, W)``.
- Time is in seconds from the first frame; rates are :class:`fractions.Fraction`.
- Head angles are in degrees, ``(yaw, pitch, roll)``: positive yaw turns the nose towards the
  right edge of the image, positive pitch looks down, positive roll turns the head clockwise
  in the image.
- Rig weights are in [0, 1]; left and right are the actor's own.
"""

__version__ = "0.1.0"
