"""Models: the spec that is enforced, the networks behind it, saving, loading and fitting."""
