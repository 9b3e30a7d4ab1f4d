"""A synthetic landscape, to try every step without data of your own."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

__all__ = ["demo"]


def demo(folder: str | Path = "demo", *, seed: int = 0) -> list[Path]:
    """Build a demo: a synthetic scene, taken all the way to a map, polygons and a report.

    Args:
        folder: folder to write to. The inputs are scene.tif, labels.gpkg, classes.yaml and
            landcover.yaml; the results chips/, model/, map/ with report.html, landcover.gpkg,
            landcover.geojson, report.json and overview.png.
        seed: seed of the landscape; another one makes another.

    Returns:
        The files and folders made, overview.png last.

    Example:
        >>> import geoseg
        >>> geoseg.demo("demo")[-1].name  # doctest: +SKIP
        'overview.png'
    """
    from geoseg import layout
    from geoseg.files import write_bytes
    from geoseg.job import once
    from geoseg.pipeline import run
    from geoseg.synthetic.scene import write_scene

    folder = Path(folder)
    once(
        "scene",
        folder / layout.STEPS_FOLDER / "scene.json",
        inputs={},
        options={"seed": seed},
        outputs=[folder / name for name in ("scene.tif", "labels.gpkg", "classes.yaml")],
        work=lambda: write_scene(folder, seed=seed),
    )
    config = folder / "landcover.yaml"
    write_bytes(config, (resources("geoseg.synthetic") / "landcover.yaml").read_bytes())
    return [folder / "scene.tif", folder / "labels.gpkg", *run(config)]
