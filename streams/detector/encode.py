"""From features to cells: each input falls in one cell of a generic grid, and fine cells have coarse ones around them.

Grids are round series, not fitted to any stream. What is missing or not finite has a cell of its own, and what lies
beyond the grid falls in its first or last cell, so no input can be without bounds. The online model has a weight for
each fine and each coarse cell; the trees split at the fine ones. (Tile coding: Sutton and Barto, Reinforcement
Learning, 9.5.4.)
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise, repeat
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.fields import Features

Cells = npt.NDArray[np.int64]
"""Of a payment: the cells that its features fall in, one of each, or the weights that it has, none twice."""
AnyCells = Sequence[int] | npt.NDArray[Any]


class Grid(NamedTuple):
    """Edges of the fine cells, of which some are also edges of the coarse ones."""

    fine: tuple[float, ...]
    coarse: frozenset[float]


def _grid(coarse: Sequence[float], steps: int) -> Grid:
    """Return a grid whose coarse cells are cut in so many fine ones, at equal distances."""
    fine = [round(low + (high - low) * step / steps, 9) for low, high in pairwise(coarse) for step in range(steps)]
    return Grid((*fine, coarse[-1]), frozenset(coarse))


def _series(low: int, high: int) -> list[float]:
    return [round(step * 10.0**power, 9) for power in range(low, high) for step in (1, 1.5, 2, 3, 5, 7)]


AMOUNTS = _grid(_series(2, 7), 5)
ROUGH_AMOUNTS = _grid(_series(2, 7), 1)
TIMES = _grid(_series(-2, 2), 5)
ROUGH_TIMES = _grid(_series(-2, 2), 1)
COUNTS = _grid([0.5, 1.5, 2.5, 3.5, 5.5, 7.5, 10.5, 15.5, 20.5, 30.5, 50.5, 100.5, 300.5, 1000.5], 1)
RATES = _grid([0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5], 1)
PARTS = _grid([0.0001, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95], 2)
SHARES = _grid([0.0001, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9999], 2)
DEVIATIONS = _grid([-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7, 10], 4)
SECONDS = _grid([10, 30, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800], 1)
HOURS = _grid([-0.5, 2.5, 5.5, 8.5, 11.5, 14.5, 17.5, 20.5, 23.5], 3)
CODES = _grid([at + 0.5 for at in range(100)], 1)
FLAG = _grid([0.5], 1)


NO_PART = -1
"""Where a cell has no coarse one around it."""
LEAST = -1.7976931348623157e308
"""The least number that is finite: what lies below it is missing."""


class Input(NamedTuple):
    """A feature that the model takes, on its grid."""

    feature: str
    grid: Grid


INPUTS: tuple[Input, ...] = (
    Input("payment_amount_minor", AMOUNTS),
    Input("payment_hour", HOURS),
    Input("payment_channel", CODES),
    Input("payment_entry_mode", CODES),
    Input("payment_trade", CODES),
    Input("payment_merchant_abroad", FLAG),
    Input("payment_ip_abroad", FLAG),
    Input("payment_shipped_abroad", FLAG),
    Input("card_count_1h", COUNTS),
    Input("card_amount_minor_24h", ROUGH_AMOUNTS),
    Input("card_pace", ROUGH_TIMES),
    Input("card_seconds_since_last", SECONDS),
    Input("card_known_frauds_7d", COUNTS),
    Input("card_known_frauds_30d", COUNTS),
    Input("card_amount_mean_30d", AMOUNTS),
    Input("card_amount_times_cleared", TIMES),
    Input("card_amount_deviations", DEVIATIONS),
    Input("card_amount_rank", SHARES),
    Input("card_merchant_is_new", FLAG),
    Input("card_device_is_new", FLAG),
    Input("merchant_labelled_fraud_share_1d", PARTS),
    Input("merchant_labelled_fraud_share_7d", PARTS),
    Input("merchant_labelled_fraud_share_30d", PARTS),
    Input("merchant_fraud_rate_7d", RATES),
    Input("merchant_amount_times_mean_30d", ROUGH_TIMES),
    Input("merchant_pace", ROUGH_TIMES),
)


class Encoder:
    """The layout of all cells, and the way from features to cells.

    `parts` gives for each cell the weights that it has, fine and coarse; `owners` the place of its feature.

    >>> encoder = Encoder(INPUTS)
    >>> cells = encoder.encode({"payment_amount_minor": 1999})
    >>> len(cells) == len(encoder.features), [encoder.names[part] for part in encoder.parts_of(cells)[:3]]
    (True, ['payment_amount_minor from 1900', 'payment_amount_minor in 1500 to 2000', 'payment_hour missing'])
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.features = tuple(each.feature for each in inputs)
        self.names: list[str] = []
        self.owners: list[int] = []
        self.parts: list[tuple[int, ...]] = []
        # All features' edges in one row, each beside its feature's place, as the imaginary part of a complex number, by
        # which these are ordered where the real ones are equal: one search finds all places, which are the cells'.
        edges: list[float] = []
        coarse_names = list[str]()
        cells = sum(len(each.grid.fine) + 2 for each in inputs)
        for place, (feature, (fine, coarse)) in enumerate(inputs):
            first, around = len(edges), cells + len(coarse_names)
            edges += [LEAST, *fine, inf]
            self.owners += [place] * (len(fine) + 2)
            bounds = [f"under {fine[0]:g}", *(f"from {edge:g}" for edge in fine)]
            self.names += [f"{feature} {bound}" for bound in ("missing", *bounds)]
            if len(fine) == len(coarse):
                self.parts += [(first + at,) for at in range(len(fine) + 2)]
                continue
            self.parts.append((first,))
            for at in range(len(fine) + 1):
                self.parts.append((first + 1 + at, around + sum(edge in coarse for edge in fine[:at])))
            inside = [f"in {low:g} to {high:g}" for low, high in pairwise(sorted(coarse))]
            bounds = [f"all under {fine[0]:g}", *inside, f"over {max(coarse):g}"]
            coarse_names += [f"{feature} {bound}" for bound in bounds]
        self.cells = cells
        self.names += coarse_names
        self.size = len(self.names)
        self._edges = _beside(self.owners, edges)
        self._nothing = _beside(range(len(inputs)), [-inf] * len(inputs))
        self._parts = np.array([(*parts, NO_PART)[:2] for parts in self.parts])
        layout = json.dumps([self.names], separators=(",", ":"))
        self.schema = "sha256:" + hashlib.sha256(layout.encode()).hexdigest()[:32]

    def encode(self, features: Features) -> list[int]:
        """Return the cell of each input, in the order of the layout."""
        cells: list[int] = self.cells_of(features).tolist()
        return cells

    def cells_of(self, features: Features) -> Cells:
        """Return the same as arithmetic takes it."""
        values = [*map(features.get, self.features, repeat(-inf))]
        if not sum(values) < inf:
            values = [value if -inf < value < inf else -inf for value in values]
        sought = self._nothing.copy()
        sought.imag[:] = values
        return self._edges.searchsorted(sought, "right")

    def parts_of(self, cells: AnyCells) -> Cells:
        """Return the weights that a payment with these cells has."""
        both = self._parts.take(cells, axis=0).ravel()
        parts: Cells = both[both != NO_PART]
        return parts


def _beside(places: Sequence[int], values: Sequence[float]) -> npt.NDArray[np.complex128]:
    """Return complex numbers with these real and imaginary parts: arithmetic would make NaN of infinite ones."""
    pairs = np.empty(len(places), dtype=np.complex128)
    pairs.real, pairs.imag = places, values
    return pairs


ENCODER = Encoder(INPUTS)
