"""The ledger of finished parts: what it records, and what it makes of damage."""

from __future__ import annotations

import json
import zlib
from functools import partial
from pathlib import Path

import pytest
from job_runs import commit

from geoseg.errors import RetryError
from geoseg.job import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "work")


SHA_ONE = "7692c3ad3540"
"""sha256sum of the bytes of "one"."""

SHA_TWO = "3fc4ccfe7458"
"""sha256sum of the bytes of "two"."""


class TestLedger:
    def test_a_new_one_is_empty(self, ledger: Ledger) -> None:
        assert ledger.parts() == {}

    def test_parts_come_back_with_their_facts_in_a_later_process(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", valid=12)
        commit(ledger, "ü b.tif", note="line\u2028break\n")
        again = Ledger(ledger.folder).parts()
        assert again == {"a.tif": {"valid": 12}, "ü b.tif": {"note": "line\u2028break\n"}}

    def test_the_same_part_twice_is_recorded_once(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one", try_=1)
        commit(ledger, "a.tif", b"one", try_=2)
        commit(Ledger(ledger.folder), "a.tif", b"one", try_=3)
        assert ledger.parts() == {"a.tif": {"try_": 1}}
        assert (ledger.folder / "ledger.jsonl").read_text().count("a.tif") == 1

    @pytest.mark.parametrize("known", ["in memory", "in the file", "from parts()"])
    def test_a_part_that_comes_out_differently_is_named_and_never_the_last_one_wins(
        self, ledger: Ledger, known: str
    ) -> None:
        commit(ledger, "a.tif", b"one")
        if known != "in memory":
            ledger = Ledger(ledger.folder)
        if known == "from parts()":
            assert set(ledger.parts()) == {"a.tif"}
        message = rf"a\.tif: the same part came out differently.*got {SHA_TWO}; wanted {SHA_ONE}"
        with pytest.raises(RetryError, match=message):
            commit(ledger, "a.tif", b"two")
        assert (ledger.folder / "ledger.jsonl").read_text().count("a.tif") == 1

    def test_a_ledger_with_two_hashes_of_one_part_is_not_believed(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one")
        line = (ledger.folder / "ledger.jsonl").read_bytes()
        (ledger.folder / "ledger.jsonl").write_bytes(b"")
        commit(Ledger(ledger.folder), "a.tif", b"two")
        with (ledger.folder / "ledger.jsonl").open("ab") as stream:
            stream.write(line)
        for use in (Ledger.parts, partial(commit, name="b.tif")):
            with pytest.raises(RetryError, match=r"a\.tif: the same part came out differently"):
                use(Ledger(ledger.folder))

    def test_a_damaged_part_that_is_made_again_counts_again(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one")
        (ledger.folder / "a.tif").write_bytes(b"onf")
        assert ledger.parts() == {}
        commit(ledger, "a.tif", b"one")
        assert set(ledger.parts()) == {"a.tif"}

    def test_a_line_torn_at_any_byte_loses_that_part_alone(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        path = ledger.folder / "ledger.jsonl"
        first = path.stat().st_size
        commit(ledger, "b.tif")
        everything = path.read_bytes()
        for end in (*range(first, len(everything), 9), len(everything) - 1):
            path.write_bytes(everything[:end])
            assert set(ledger.parts()) == {"a.tif"}
            commit(ledger, "c.tif")
            assert set(ledger.parts()) == {"a.tif", "c.tif"}

    def test_a_flipped_bit_in_the_ledger_loses_that_part_alone(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        commit(ledger, "b.tif")
        path = ledger.folder / "ledger.jsonl"
        data = bytearray(path.read_bytes())
        data[data.index(b'"b.tif"') + 1] ^= 1
        path.write_bytes(data)
        assert set(ledger.parts()) == {"a.tif"}

    def test_bytes_that_are_no_text_are_passed_over(self, ledger: Ledger) -> None:
        with (ledger.folder / "ledger.jsonl").open("ab") as stream:
            stream.write(b"\n\xff\xfe\x00 {]")
        commit(ledger, "a.tif")
        assert set(ledger.parts()) == {"a.tif"}

    @pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "a folder"])
    def test_a_part_that_is_not_what_was_recorded_is_not_there(
        self, ledger: Ledger, damage: str
    ) -> None:
        commit(ledger, "a.tif")
        commit(ledger, "b.tif", b"other pixels")
        part = ledger.folder / "b.tif"
        part.unlink()
        if damage == "flipped":
            part.write_bytes(b"other qixels")
        if damage == "cut":
            part.write_bytes(b"other pix")
        if damage == "a folder":
            part.mkdir()
        assert set(ledger.parts()) == {"a.tif"}

    def test_a_line_is_checksum_and_json(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        blank, line = (ledger.folder / "ledger.jsonl").read_text().split("\n")
        checksum, _, text = line.partition(" ")
        assert blank == ""
        assert int(checksum, 16) == zlib.crc32(text.encode())
        assert json.loads(text)["name"] == "a.tif"
