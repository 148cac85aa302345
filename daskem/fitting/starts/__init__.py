"""Where a fit begins: the survey, seeds, the best of many fits to a sample. No pass of a fit."""
