"""Benchmarks of geoseg against its alternatives; every figure is a ratio measured in one run."""
