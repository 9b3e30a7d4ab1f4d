"""Models on disk: the spec, the weights, and the directory that holds both."""
