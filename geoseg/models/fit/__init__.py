"""Training: a network fitted to chips, calibrated, and resumable."""
