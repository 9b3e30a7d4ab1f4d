"""Run all benchmarks, or those named, and print their ratios.

``python -m bench`` runs everything, ``python -m bench tiles labels`` prints two tables.
"""

import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["GDAL_CACHEMAX"] = (
    "64"  # MB: smaller than the scenes, so that no candidate reads from memory
)

TABLES = (
    "tiles", "labels", "polygons", "scheduler", "engine", "sinks", "halo", "peers", "memory",
    "seams", "safety", "loader", "step", "crossval",
)  # fmt: skip


def main() -> None:
    """Run the benchmarks, each in its own temporary folder."""
    names = sys.argv[1:] or TABLES
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join(TABLES)}")
    warnings.simplefilter("ignore")  # warnings of the candidates
    for name in names:
        benchmark = importlib.import_module(f"bench.{name}")
        print(f"\n{benchmark.__doc__}\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for row in benchmark.run(Path(folder)):
                print(row, flush=True)


if __name__ == "__main__":
    main()
