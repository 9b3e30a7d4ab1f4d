"""What a training can be asked for by name."""

from __future__ import annotations

from typing import Literal

Loss = Literal["ce+dice", "ce", "dice", "focal", "lovasz", "ce+lovasz", "tversky", "jaccard"]
Schedule = Literal["one-cycle", "cosine", "constant"]
