"""Fuzzing of all that parses strangers' bytes: targets, seeds, mutations, and the engine that runs them."""
