"""Map land cover from one scene and one label layer, step by step with geoseg's Python functions.

python pipelines/landcover.py demo/scene.tif demo/labels.gpkg demo/classes.yaml runs/landcover
"""

import sys
from pathlib import Path

import geoseg


def main(scene: Path, labels: Path, classes: Path, out: Path) -> None:
    """Cut chips, train a model, map the scene, draw polygons, and measure accuracy."""
    chips = geoseg.tile(
        scene,
        labels,
        out / "chips",
        classes=classes,
        options=geoseg.TileOptions(size=128, block=256, buffer=64),
    )
    model = geoseg.train(chips, out / "model", options=geoseg.TrainOptions(epochs=20))
    (land_map,) = geoseg.predict(scene, model, out / "map")
    for name in ("landcover.gpkg", "landcover.geojson"):
        geoseg.vectorize(
            land_map / "classes.tif",
            out / name,
            options=geoseg.VectorizeOptions(min_area_m2=60),
        )
    report = geoseg.evaluate(land_map, labels, options=geoseg.EvaluateOptions(chips=chips))
    print(f"mean IoU on held-out blocks: {report['miou']:.3f}")
    print(out / "landcover.gpkg")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
