"""Options that apply to an architecture."""

from __future__ import annotations

from geoseg.errors import ConfigError
from geoseg.steps.train.options import TrainOptions

ALWAYS = {"architecture", "fold", "seed"}
PIXELWISE = {"forest": {"features"}, "svm": {"features"}, "threshold": {"index"}}
"""Options of pixelwise classifiers; networks take all others."""


def require_applicable(options: TrainOptions) -> None:
    """Refuse options that were given and would be ignored.

    Raises:
        ConfigError: options do not apply to the architecture; the error names all of them.
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
    """List the options that were given and do not apply to the architecture, as declared.

    Example:
        >>> inapplicable(TrainOptions(architecture="svm", epochs=5, features="texture", loss="ce"))
        ['loss', 'epochs']
    """
    fields = set(type(options).model_fields)
    # only what was given: a default of another architecture does no harm
    mine = PIXELWISE.get(options.architecture, fields - set().union(*PIXELWISE.values()))
    idle = options.model_fields_set - mine - ALWAYS
    return [name for name in type(options).model_fields if name in idle]
