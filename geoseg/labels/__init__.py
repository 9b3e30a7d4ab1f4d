"""Labels as class ids on a grid, whether they come as polygons or as rasters."""
