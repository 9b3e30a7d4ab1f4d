"""Train, validation and test chips: whole blocks of space, apart."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely import box

from geoseg.chips.leaks import leak
from geoseg.chips.overlaps import PlacedChips, overlaps
from geoseg.chips.split import LEFT_OUT, TEST, TRAIN, VAL, blocks_of, split_blocks
from geoseg.chips.split_areas import read_areas
from geoseg.errors import ChipsError


def placed(
    rows: int, cols: int, *, size: int = 32, step: int = 32, scenes: int = 1, seed: int = 0
) -> PlacedChips:
    """Chips on a lattice, with 3 classes in uneven amounts."""
    row, col = np.meshgrid(np.arange(rows) * step, np.arange(cols) * step, indexing="ij")
    corners = np.tile(np.column_stack([row.ravel(), col.ravel()]), (scenes, 1))
    scene = np.repeat(np.arange(scenes), rows * cols)
    pixels = np.random.default_rng(seed).integers(0, [900, 100, 20], (len(scene), 3))
    return PlacedChips(scene, corners, size, pixels)


def distances(chips: PlacedChips, names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Pixels between every training chip and every held-out chip of its scene, by brute force."""
    train = names == TRAIN
    held = (names == VAL) | (names == TEST)
    apart = np.abs(chips.corners[train][:, None] - chips.corners[held][None]).max(axis=2)
    same = chips.scene[train][:, None] == chips.scene[held][None]
    return apart[same] - chips.size


def shared_px(chips: PlacedChips, names: NDArray[np.str_]) -> float:
    """Ground that training, validation and test chips share, on grids of 1 m pixels."""
    grids = [GeoBox((10**5, 10**5), Affine(1, 0, 5e5, 0, -1, 5e6), "EPSG:32633")] * 9
    shared = overlaps(chips, grids)
    return float(shared.shared_m2[leak(shared, names)].sum())


class TestBlocks:
    def test_chips_of_one_square_share_a_block_and_scenes_do_not(self) -> None:
        chips = placed(4, 6, scenes=2)
        blocks = blocks_of(chips, 64)
        assert blocks.shape == (48,)
        assert len(np.unique(blocks)) == 2 * 2 * 3
        assert np.bincount(blocks).tolist() == [4] * 12
        assert not set(blocks[:24]) & set(blocks[24:])


class TestSplit:
    @pytest.mark.parametrize("buffer", [0, 1, 40])
    @pytest.mark.parametrize("step", [32, 16])
    def test_training_chips_keep_the_buffer_and_never_overlap(self, buffer: int, step: int) -> None:
        chips = placed(24, 30, step=step, scenes=2)
        names = split_blocks(
            chips, blocks_of(chips, 128), shares=(0.15, 0.15), buffer=buffer, seed=1
        )
        assert set(names) <= {TRAIN, VAL, TEST, LEFT_OUT}
        assert distances(chips, names).min() >= buffer
        assert shared_px(chips, names) == 0

    def test_hundreds_of_held_out_neighbours_still_push_a_chip_out(self) -> None:
        """Chips every 8 px: a chip has up to 288 neighbours, more than an int8 can count."""
        chips = placed(20, 30, size=32, step=8)
        names = split_blocks(chips, blocks_of(chips, 80), shares=(0.2, 0.0), buffer=32, seed=1)
        assert distances(chips, names).min() >= 32
        assert shared_px(chips, names) == 0

    def test_blocks_stay_whole_but_for_the_buffer(self) -> None:
        chips = placed(16, 20)
        blocks = blocks_of(chips, 128)
        names = split_blocks(chips, blocks, shares=(0.2, 0.2), buffer=0, seed=1)
        for block in np.unique(blocks):
            assert len(set(names[blocks == block])) == 1

    def test_only_chips_within_the_buffer_are_left_out(self) -> None:
        chips = placed(16, 20)
        names = split_blocks(chips, blocks_of(chips, 128), shares=(0.2, 0.1), buffer=40, seed=1)
        held = (names == VAL) | (names == TEST)
        for corner in chips.corners[names == LEFT_OUT]:
            apart = np.abs(chips.corners[held] - corner).max(axis=1) - chips.size
            assert apart.min() < 40

    def test_shares_are_met_for_every_class(self) -> None:
        chips = placed(40, 48)
        names = split_blocks(chips, blocks_of(chips, 128), shares=(0.15, 0.25), buffer=0, seed=1)
        total = chips.pixels.sum(axis=0)
        for name, share in ((VAL, 0.15), (TEST, 0.25)):
            got = chips.pixels[names == name].sum(axis=0) / total
            assert got == pytest.approx([share] * 3, abs=0.04)

    def test_the_same_seed_gives_the_same_split(self) -> None:
        chips = placed(12, 16)
        blocks = blocks_of(chips, 64)
        one, same, other = (
            split_blocks(chips, blocks, shares=(0.2, 0.2), buffer=8, seed=seed)
            for seed in (3, 3, 4)
        )
        assert (one == same).all()
        assert (one != other).any()

    def test_a_share_of_zero_holds_nothing_out(self) -> None:
        chips = placed(12, 16)
        names = split_blocks(chips, blocks_of(chips, 64), shares=(0.2, 0.0), buffer=0, seed=1)
        assert set(names) == {TRAIN, VAL}

    def test_chips_held_by_hand_are_test_whatever_the_shares_say(self) -> None:
        chips = placed(12, 16)
        held = chips.corners[:, 1] >= 12 * 32
        names = split_blocks(
            chips,
            blocks_of(chips, 64),
            shares=(0.2, 0.0),
            buffer=32,
            seed=1,
            fixed=np.where(held, TEST, ""),
        )
        assert (names[held] == TEST).all()
        assert (names[~held] != TEST).all()
        assert distances(chips, names).min() >= 32

    def test_a_rare_class_trains_and_is_held_out_where_that_is_possible(self) -> None:
        chips = placed(16, 16)
        chips.pixels[:, 2] = 0
        chips.pixels[[0, 15, 200], 2] = 50
        names = split_blocks(chips, blocks_of(chips, 64), shares=(0.2, 0.2), buffer=0, seed=1)
        assert set(names[[0, 15, 200]]) == {TRAIN, VAL, TEST}

    @pytest.mark.parametrize(
        ("rows", "cols", "buffer", "shares"),
        [(1, 1, 0, (0.2, 0.0)), (1, 2, 0, (0.2, 0.2)), (3, 3, 500, (0.2, 0.0))],
    )
    def test_too_few_or_too_near_is_an_error_with_the_numbers(
        self, rows: int, cols: int, buffer: int, shares: tuple[float, float]
    ) -> None:
        chips = placed(rows, cols)
        with pytest.raises(ChipsError) as caught:
            split_blocks(chips, blocks_of(chips, 32), shares=shares, buffer=buffer, seed=1)
        chips_in_blocks = f"{rows * cols} chips in {rows * cols} blocks, buffer {buffer} px"
        assert chips_in_blocks in str(caught.value)


class TestOverlap:
    def test_shared_pixels_by_hand(self) -> None:
        """Chips of 32 px, 24 rows and 22 columns apart, share 8 x 10 px; touching ones none."""
        corners = np.array([[0, 0], [24, 22], [0, 32], [0, 0]])
        chips = PlacedChips(np.array([0, 0, 0, 1]), corners, 32, np.ones((4, 1), np.int64))
        assert shared_px(chips, np.array([TRAIN, VAL, TRAIN, TRAIN])) == 8 * 10 + 8 * 22
        assert shared_px(chips, np.array([TRAIN, LEFT_OUT, TEST, VAL])) == 0


def test_areas_of_two_splits_may_not_overlap(tmp_path: Path) -> None:
    """Two squares of 20 x 20 m that share 10 x 20 m."""
    geobox = GeoBox((100, 100), Affine(1, 0, 500_000, 0, -1, 5_000_000), "EPSG:32633")
    squares = [box(500_000 + west, 4_999_950, 500_020 + west, 4_999_970) for west in (10, 20)]
    frame = gpd.GeoDataFrame({"split": ["train", "test"]}, geometry=squares, crs="EPSG:32633")
    frame.to_file(tmp_path / "areas.gpkg")
    with pytest.raises(ChipsError, match=r"areas of different splits overlap; got 200 m2"):
        read_areas(tmp_path / "areas.gpkg", geobox, column="split")
