"""How windows become map layers: the engine, the averaging, the output layers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

type EngineName = Literal["torch", "onnx", "openvino"]
type Precision = Literal["fp32", "bf16"]
type Views = Literal["none", "flips", "turns"]
type Confidence = Literal["probability", "margin", "entropy"]


class Engine(BaseModel):
    """What runs a network.

    Attributes:
        name: torch, ONNX Runtime or OpenVINO.
        precision: precision of weights and activations; logits are float32 in any case.
        compiled: whether torch.compile is applied first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: EngineName = "torch"
    precision: Precision = "fp32"
    compiled: bool = False

    @property
    def makes_arrays(self) -> bool:
        """Whether each layer allocates its output per window; other engines plan memory ahead."""
        return self.name == "torch"

    def __str__(self) -> str:
        return f"{self.name} {self.precision}" + (", compiled" if self.compiled else "")


class InferenceSettings(BaseModel):
    """How a window is predicted.

    Attributes:
        engine: what runs the network.
        views: "flips" averages the window and its 3 mirror images, "turns" all 8 symmetries of
            the square.
        passes: number of forward passes with dropout left on whose probabilities are averaged
            (Gal and Ghahramani, 2016); 0 for one pass without dropout.
        confidence: measure in confidence.tif, in percent: the probability of the most likely
            class; its margin over the second most likely; or 100 minus the entropy as a
            percentage of its maximum.
        probabilities: whether each class's probability becomes a layer too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine = Engine()
    views: Views = "none"
    passes: int = 0
    confidence: Confidence = "probability"
    probabilities: bool = False

    @property
    def plain(self) -> bool:
        """Whether class and confidence follow from the logits of one forward pass."""
        averaged = self.views != "none" or self.passes > 0
        return not averaged and not self.probabilities and self.confidence == "probability"
