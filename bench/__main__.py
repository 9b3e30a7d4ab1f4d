"""Run every benchmark and print its ratios: ``make bench``."""

import os
import tempfile
from pathlib import Path

os.environ["GDAL_CACHEMAX"] = "64"  # MB: less than the scenes, so that nobody reads from memory

from bench import labels, tiles


def main() -> None:
    """Run the benchmarks in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        for benchmark in (tiles, labels):
            print(f"\n{benchmark.__doc__}\n")
            for row in benchmark.run(Path(folder)):
                print(row)


if __name__ == "__main__":
    main()
