"""What runs on a GPU, by CuPy: the sweep of a kernel. Imported where one is used."""
