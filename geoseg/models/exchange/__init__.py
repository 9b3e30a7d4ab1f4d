"""Models as single files that other programs read too."""
