"""``python -m freeavatar``."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads starve the rasteriser's

from freeavatar.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
