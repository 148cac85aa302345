"""Kernels: how an E step is computed on tiles of rows. They know families by contract only."""
