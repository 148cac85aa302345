"""Fitting: the loop of passes, its starts, its algorithms, its end. No labels, no files."""
