"""Memory that is kept, and given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

RESIDENT = """
import os, threading
import numpy as np
from geoseg import allocator

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

def use():
    for _ in range(3):
        np.ones(200 << 20, np.uint8)

found = []
with allocator.returned():
    for freed in (False, True):
        allocator.keep(freed=freed)
        thread = threading.Thread(target=use)
        before = resident_mb()
        thread.start()
        thread.join()
        found.append(resident_mb() - before)
found.append(resident_mb() - before)
print(*found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_freed_array_of_200_mb_stays_in_every_thread_until_the_block_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True
    )
    usual, kept, after = map(int, done.stdout.split())
    assert usual < 20
    assert 190 < kept < 220
    assert after < 20
