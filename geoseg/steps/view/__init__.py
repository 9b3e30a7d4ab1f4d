"""Look at a map, or at a run that is still going, in the browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import Field

from geoseg.options import Options

__all__ = ["ViewOptions", "view"]


class ViewOptions(Options):
    """Options of `view`.

    Example:
        >>> import geoseg
        >>> geoseg.ViewOptions(title="Lake", open=False).port
        0
    """

    title: str = ""
    """Heading of the page; by default the name of the map's folder, or of the one above."""

    polygons: tuple[Path, ...] = ()
    """Polygon files made from the map; by default those in its folder, and the folder above, that
    carry its run."""

    imagery: Path | None = None
    """Image to lie under the map; the scene that was mapped by default."""

    accuracy: Path | None = None
    """What geoseg evaluate --json has said about the map; report.json beside or above it by
    default."""

    classes: Path | None = None
    """Class file or model directory of a run that is still going; by default the model beside the
    map folder."""

    port: int = Field(0, ge=0, le=65535)
    """Port of the page on this machine; 0 takes any that is free."""

    open: bool = True
    """Open the page in the browser."""


def view(land_map: str | Path, *, options: ViewOptions | None = None) -> None:
    """Show a map in the browser, on a page that only this machine can open.

    It is the page that `publish` writes, without writing it. Of a run that is still going, the
    parts are shown as they land, and the finished map once it is there. Nothing is changed or
    locked. Prints the address, and returns when it is interrupted.

    Args:
        land_map: the map directory, or the classes.tif in it.
        options: title, polygons, imagery, port.

    Raises:
        RasterError: the path is neither a map nor a run.
        ConfigError: nothing says what the classes of a run are.
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
