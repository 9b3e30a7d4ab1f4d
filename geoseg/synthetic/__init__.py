"""A landscape made from a seed, so that every step can be tried without data of one's own."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

__all__ = ["demo"]


def demo(folder: str | Path = "demo", *, seed: int = 0) -> list[Path]:
    """Make a scene from a seed and take it all the way to a map, polygons and a report.

    Args:
        folder: where everything goes: scene.tif, labels.gpkg, classes.yaml and landcover.yaml to
            start from; chips/, model/, map/ with report.html, landcover.gpkg, landcover.geojson,
            report.json and overview.png made from them.
        seed: another seed makes another landscape.

    Returns:
        What was made, overview.png last.

    Example:
        >>> import geoseg
        >>> geoseg.demo("demo")[-1].name  # doctest: +SKIP
        'overview.png'
    """
    from geoseg.files import write_bytes
    from geoseg.job import once
    from geoseg.pipeline import run
    from geoseg.synthetic.scene import write_scene

    folder = Path(folder)
    once(
        "scene",
        folder / ".steps" / "scene.json",
        inputs=[],
        options={"seed": seed},
        outputs=[folder / name for name in ("scene.tif", "labels.gpkg", "classes.yaml")],
        work=lambda: write_scene(folder, seed=seed),
    )
    config = folder / "landcover.yaml"
    write_bytes(config, (resources("geoseg.synthetic") / "landcover.yaml").read_bytes())
    return [folder / "scene.tif", folder / "labels.gpkg", *run(config)]
