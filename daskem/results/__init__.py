"""Results: what a fit has found, in the units of the data, and what becomes of it. Nothing fits."""
