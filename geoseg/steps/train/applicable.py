"""Which options mean something to an architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geoseg.errors import ConfigError

if TYPE_CHECKING:
    from geoseg.steps.train import TrainOptions

ALWAYS = {"architecture", "fold", "seed"}
PIXELWISE = {"forest": {"features"}, "svm": {"features"}, "threshold": {"index"}}
"""By architecture; networks take all other options."""


def require_applicable(options: TrainOptions) -> None:
    """Refuse options that were given and would do nothing.

    Raises:
        ConfigError: there are such; all of them are named.
    """
    found = inapplicable(options)
    if found:
        raise ConfigError(
            "does not apply" if len(found) == 1 else "do not apply",
            where=", ".join(f"--{name.replace('_', '-')}" for name in found),
            got=f"--architecture {options.architecture}",
            fix="leave them out, or choose another architecture",
        )


def inapplicable(options: TrainOptions) -> list[str]:
    """Names of the options that were given and do nothing for the architecture, as declared.

    Example:
        >>> from geoseg.steps.train import TrainOptions
        >>> inapplicable(TrainOptions(architecture="svm", epochs=5, features="texture", loss="ce"))
        ['loss', 'epochs']
    """
    fields = set(type(options).model_fields)
    mine = PIXELWISE.get(options.architecture, fields - set().union(*PIXELWISE.values()))
    idle = options.model_fields_set - mine - ALWAYS
    return [name for name in type(options).model_fields if name in idle]
