"""A job becomes frames: solvers, sizes from coarse to fine, memory and devices."""
