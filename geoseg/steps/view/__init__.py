"""View a map, or a live run, in the browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from geoseg.steps.view.options import ViewOptions

__all__ = ["ViewOptions", "view"]


def view(land_map: str | Path, *, options: ViewOptions | None = None) -> None:
    """Show a map in the browser, on a page that only this machine can open.

    It is the page that `publish` writes, but nothing is written. For a live run, the parts are
    shown as they are finished, and in the end the finished map. The run is neither changed nor
    locked. Prints the address and returns when it is interrupted.

    Args:
        land_map: the map directory, or the classes.tif in it.
        options: title, polygons, imagery, port.

    Raises:
        RasterError: the path is neither a map nor a run.
        ConfigError: the classes of a run are unknown.
        InputError: polygons or accuracy report do not belong to the map.
        OutputError: the port is taken.

    Example:
        >>> import geoseg
        >>> geoseg.view("map")  # doctest: +SKIP
        http://127.0.0.1:41237/
    """
    import webbrowser

    from geoseg.steps.view.server import serve

    options = options or ViewOptions()
    with suppress(KeyboardInterrupt), serve(Path(land_map), options) as server:
        print(server.address, flush=True)
        if options.open:
            webbrowser.open(server.address)
        server.wait()
