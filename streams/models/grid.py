"""Settings of the champion's learner that can be tried: from where to where each goes, and grids over them. Pure."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple

from streams.detector.growing import PARAMETERS
from streams.detector.learner import MIXTURE, Kind

Grid = Mapping[str, tuple[float, ...]]


class Tunable(NamedTuple):
    """One setting: its bounds, how it is read from a kind of learner and put into one."""

    low: float
    high: float
    of: Callable[[Kind], float | None]
    put: Callable[[Kind, float], Kind]
    whole: bool = False


def _step(steps: str, part: str, high: float) -> Tunable:
    """Return the row of a part of a kind's `Steps`."""
    return Tunable(
        0.0,
        high,
        lambda kind: float(getattr(getattr(kind, steps), part)),
        lambda kind, value: kind._replace(**{steps: getattr(kind, steps)._replace(**{part: value})}),
    )


def _tree(parameter: str, low: float, high: float, *, whole: bool = False) -> Tunable:
    """Return the row of a parameter that trees are grown with."""
    return Tunable(
        low,
        high,
        lambda kind: {**PARAMETERS, **dict(kind.trees)}[parameter],
        lambda kind, value: kind._replace(trees=tuple(sorted({**dict(kind.trees), parameter: value}.items()))),
        whole,
    )


TUNABLE: Mapping[str, Tunable] = {
    "cell_step": _step("cell_steps", "step", 10.0),
    "cell_power": _step("cell_steps", "power", 1.0),
    "leaf_step": _step("leaf_steps", "step", 10.0),
    "leaf_power": _step("leaf_steps", "power", 1.0),
    "growth": Tunable(0.01, 100.0, lambda kind: kind.growth, lambda kind, value: kind._replace(growth=value)),
    "share_of_leaves": Tunable(
        0.0, 1.0, lambda kind: kind.share_of_leaves, lambda kind, value: kind._replace(share_of_leaves=value)
    ),
    # At most 64 leaves: a tree's mask has so many bits.
    "tree_depth": _tree("max_depth", 1, 6, whole=True),
    "tree_step": _tree("eta", 0.001, 1.0),
    "tree_features": _tree("colsample_bytree", 0.01, 1.0),
}
"""By name. `growth` is how much longer the log is when trees are grown anew; `share_of_leaves` follows the losses where
it is not given; `tree_step` is XGBoost's eta, `tree_features` the share of features that a tree sees."""
USUAL: Grid = {"cell_step": (0.05, 0.07, 0.1), "leaf_step": (0.01, 0.02, 0.04)}
"""What is tried where no grid is asked for."""


def grid_of(asked: Iterable[str]) -> Grid:
    """Return the grid in some `NAME=V,V`.

    >>> grid_of(["tree_depth=4,5", "growth=0.5"])
    {'tree_depth': (4, 5), 'growth': (0.5,)}

    Raises
    ------
    ValueError
        A name is none, or is there twice, or a value is not within its bounds.
    """
    grid: dict[str, tuple[float, ...]] = {}
    for each in asked:
        name, _, values = each.partition("=")
        if name not in TUNABLE:
            raise ValueError(f"--grid {name}: there is no such setting, only {', '.join(TUNABLE)}")
        if name in grid:
            raise ValueError(f"--grid {name}: is there twice")
        grid[name] = tuple(_value(name, value) for value in values.split(","))
    return grid or USUAL


def _value(name: str, text: str) -> float:
    row = TUNABLE[name]
    try:
        value = int(text) if row.whole else float(text)
    except ValueError:
        raise ValueError(f"--grid {name}: {text!r} is no {'whole ' if row.whole else ''}number") from None
    if not row.low <= value <= row.high:
        raise ValueError(f"--grid {name}: {text} is not from {row.low:g} to {row.high:g}")
    return value


def kinds_of(grid: Grid) -> list[Kind]:
    """Return a kind of learner for each point of a grid, none twice; before them what the champion is.

    >>> [kind.growth for kind in kinds_of({"growth": (0.25, 0.5)})]
    [0.25, 0.5]
    """
    kinds = {MIXTURE: None}
    for values in product(*grid.values()):
        kind = MIXTURE
        for name, value in zip(grid, values, strict=True):
            if TUNABLE[name].of(kind) != value:
                kind = TUNABLE[name].put(kind, value)
        kinds[kind] = None
    return list(kinds)


def settings_of(kind: Kind) -> dict[str, Any]:
    """Return all settings of a kind of learner by name; None where one follows what is learned.

    >>> settings_of(MIXTURE)["tree_depth"], settings_of(MIXTURE)["share_of_leaves"]
    (5, None)
    """
    return {name: row.of(kind) for name, row in TUNABLE.items()}
