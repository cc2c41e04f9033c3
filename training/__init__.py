"""Training: one entry file a stage; weights come out, labels come in as files."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads starve those of another process
