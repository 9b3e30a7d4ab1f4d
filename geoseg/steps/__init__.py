"""The steps of the way from rasters to polygons, one module each.

A module here declares a step's options beside its function and imports heavy libraries only when
the function runs, so that help is instant.
"""
