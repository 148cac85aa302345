"""Checkpoints: what is written down of a fit after every pass, and how it goes on from there."""
