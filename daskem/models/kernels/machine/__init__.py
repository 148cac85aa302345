"""Machine code, made by numba: the sweeps of a compiled kernel. Imported where one is used."""
