"""What makes a head, as anny takes it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    """What makes a head: anny's phenotypes in [0, 1] and local shape changes in [-1, 1]."""

    phenotypes: dict[str, float] = field(default_factory=dict)
    changes: dict[str, float] = field(default_factory=dict)
    rest: dict[str, float] = field(default_factory=dict)
    """Targets baked into the neutral face, e.g. a little mouthClose for lips that would stand apart."""
