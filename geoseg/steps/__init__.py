"""The steps from rasters to polygons, one package each.

``options.py`` declares a step's options and loads nothing heavy; ``__init__.py`` holds its
function, which imports heavy libraries when it runs, so that ``--help`` is instant.
"""
