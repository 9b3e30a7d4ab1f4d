"""File names: what is written is recognised, and what others have written is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoseg import layout
from geoseg.grid import Window


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_the_name_of_a_map_part_gives_its_area_back() -> None:
    area = Window(1536, 20_480, 512, 300)
    assert layout.map_part(area) == "1536-20480-512x300.tif"
    assert layout.map_part_area("1536-20480-512x300.tif") == area


@pytest.mark.parametrize("name", ["classes.tif", "1-2-3.tif", "-1-2-3x4.tif", "1-2-3x4.tif.tmp"])
def test_a_file_that_is_no_part_has_no_area(name: str) -> None:
    assert layout.map_part_area(name) is None


def test_chip_parts_sort_by_scene_then_row_then_column() -> None:
    regions = [(0, Window(1024, 0, 8, 8)), (0, Window(20_480, 0, 8, 8)), (1, Window(0, 0, 8, 8))]
    names = [layout.chip_part(scene, region) for scene, region in regions]
    assert names == sorted(names)
    assert names[1] == "000000-000020480-000000000.npz"


def test_a_work_folder_is_named_by_the_first_16_digits_of_its_key(tmp_path: Path) -> None:
    folder = layout.work_folder(tmp_path, "0123456789abcdef" * 4)
    assert folder == tmp_path / ".work-0123456789abcdef"
    assert list(layout.work_folders(tmp_path)) == []
    folder.mkdir()
    (tmp_path / ".workspace").mkdir()
    assert list(layout.work_folders(tmp_path)) == [folder]


def test_folds_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        layout.fold(tmp_path, number).mkdir()
    (tmp_path / "fold-of-mine").mkdir()
    assert [path.name for path in layout.folds(tmp_path)] == ["fold-1", "fold-2", "fold-10"]


def test_a_gdal_sidecar_lies_beside_its_raster(tmp_path: Path) -> None:
    assert layout.gdal_sidecar(tmp_path / "a.b.tif") == tmp_path / "a.b.tif.aux.xml"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["chips.json", "chips.gpkg"], "chips"),
        (["spec.json", "model.safetensors"], "model"),
        (["spec.json"], "model"),  # a threshold has no weights
        (["classes.tif", "classes.yaml"], "map"),
        (["classes.tif", "spec.json"], "map"),  # a spec.json of others beside a map
        (["fold-1/spec.json", "fold-2/spec.json"], "folds"),
        ([".work-0123456789abcdef/ledger.jsonl"], "unfinished"),
        (["model.safetensors"], None),
        (["notes.txt"], None),
        ([], None),
    ],
)
def test_a_directory_is_known_by_its_files(
    tmp_path: Path, names: list[str], kind: str | None
) -> None:
    assert layout.kind_of(touch(tmp_path, *names)) == kind
