"""kill -9 in the middle of a training: the same weights come out as undisturbed.

GEOSEG_TRIALS says how often a training is killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_scene import SCHEME, TINY, SmallScene
from trainings import EPOCHS_OF_SIX_STEPS

import geoseg
from geoseg.files import sha256

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
]
KILLS = min(6, int(os.environ.get("GEOSEG_TRIALS", "2")))
ARGUMENTS = ["--architecture", "unet", "--epochs", "8", "--batch", "4", "--ema", "0.9"]
LOOK_S = 0.02


def start(chips: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, *EPOCHS_OF_SIX_STEPS, "train", str(chips), "-o", str(out)]
    with out.with_suffix(".log").open("ab") as said:
        return subprocess.Popen([*command, *ARGUMENTS], stdout=said, stderr=said)


def epochs(out: Path) -> int:
    table = out / "metrics.csv"
    return len(table.read_text().splitlines()) - 1 if table.exists() else 0


def test_a_training_that_is_killed_again_and_again_gives_the_weights_of_one_that_is_not(
    tmp_path: Path,
    scene: SmallScene,
    labels: Path,
) -> None:
    chips = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=TINY)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(chips, whole).wait() == 0, whole.with_suffix(".log").read_text()
    chance = random.Random(5)
    for kill in range(1, KILLS + 1):
        with start(chips, killed) as process:
            while epochs(killed) < kill and process.poll() is None:
                time.sleep(LOOK_S)
            time.sleep(chance.uniform(0, 0.3))
            assert process.poll() is None, "it was over before it was killed"
            process.send_signal(signal.SIGKILL)
    assert not (killed / "spec.json").exists()
    assert start(chips, killed).wait() == 0, killed.with_suffix(".log").read_text()
    for name in ("metrics.csv", "model.safetensors"):
        assert sha256(whole / name) == sha256(killed / name), name
    assert not list(killed.rglob("*.ckpt"))
