"""Running: a fit from its arguments to its result, here or on a scheduler. No mathematics."""
