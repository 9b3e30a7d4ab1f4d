"""Run benchmarks and print their ratios: all of them, or those that are named.

``python -m bench`` runs everything, ``python -m bench tiles labels`` two tables.
"""

import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["GDAL_CACHEMAX"] = "64"  # MB: less than the scenes, so that nobody reads from memory

TABLES = (
    "tiles", "labels", "polygons", "scheduler", "engine", "sinks", "halo", "peers", "memory",
    "seams", "safety", "loader", "step", "crossval",
)  # fmt: skip


def main() -> None:
    """Run the benchmarks, each in a temporary folder of its own."""
    names = sys.argv[1:] or TABLES
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join(TABLES)}")
    warnings.simplefilter("ignore")  # those of the candidates
    for name in names:
        benchmark = importlib.import_module(f"bench.{name}")
        print(f"\n{benchmark.__doc__}\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for row in benchmark.run(Path(folder)):
                print(row, flush=True)


if __name__ == "__main__":
    main()
