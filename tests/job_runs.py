"""Work of one step in a run directory, and how it finishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.job import Ledger, Run, open_run


def commit(ledger: Ledger, name: str, data: bytes = b"pixels", **facts: Any) -> None:
    ledger.add(name, files.write_bytes(ledger.folder / name, data), facts)


class Work:
    """An input file and an output folder."""

    def __init__(self, folder: Path) -> None:
        self.input, self.out = folder / "scene.tif", folder / "map"
        self.input.write_bytes(b"scene")

    def open(self, *, overwrite: bool = False, **options: Any) -> Any:
        return open_run(
            "predict",
            self.out,
            inputs={"scene": [self.input]},
            options=options,
            outputs=["classes.tif"],
            overwrite=overwrite,
        )

    @property
    def lock(self) -> Path:
        return self.out / ".lock"


def finish(run: Run, data: bytes = b"map") -> Any:
    (run.folder / "classes.tif").write_bytes(data)
    run.counts["regions"] = 4
    return run.finish()
