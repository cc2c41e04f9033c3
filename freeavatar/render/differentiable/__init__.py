"""What takes torch: nvdiffrast's primitives (numba on the CPU), shading and a renderer with gradients."""
