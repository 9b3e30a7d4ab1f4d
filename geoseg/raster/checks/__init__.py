"""Everything about a raster file that could spoil a result, found without mapping it."""
