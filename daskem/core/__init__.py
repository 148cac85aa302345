"""Arrays only: parameters, statistics, frames and numerics. Nothing here knows data or models."""
