"""Model directories: the spec, the weights, the folds."""
