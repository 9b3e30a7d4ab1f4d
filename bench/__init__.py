"""geoseg beside what a user would pick instead; every figure is a ratio measured in one run."""
