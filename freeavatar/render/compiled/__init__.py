"""What numba compiles for the CPU: nvdiffrast's primitives, and the fast path from rig weights to bytes."""
