"""Run every benchmark and print its ratios: ``make bench``."""

import tempfile
from pathlib import Path

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
