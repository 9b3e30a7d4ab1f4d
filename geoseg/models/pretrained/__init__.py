"""Weights that others have trained: listed, fetched, checked, and put into a network."""
