"""From features to the inputs of a linear model: the cell each number falls in, coarse and fine, and pairs of cells.

A cell is a number; a payment is the list of the cells that hold. Grids are generic round series, not fitted to any
stream; a value that is missing has a cell of its own, and one beyond the grid falls in its last cell, so that no input
can be without bounds or not finite. What a linear model lacks is interactions, so eight features are crossed, each with
each. Every input more costs a little on streams where it says nothing, most of all the fine and the crossed ones: they
are kept to what earned its place. (Tile coding: Sutton and Barto, Reinforcement Learning, 9.5.4.)
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from schemas.fields import Features


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


class Input(NamedTuple):
    """A feature that the model takes, on its grid; `crossed` with every other such one."""

    feature: str
    grid: Grid
    crossed: bool = False


INPUTS: tuple[Input, ...] = (
    Input("payment_amount_minor", AMOUNTS, crossed=True),
    Input("payment_hour", HOURS, crossed=True),
    Input("payment_channel", CODES),
    Input("payment_entry_mode", CODES),
    Input("payment_trade", CODES, crossed=True),
    Input("payment_merchant_abroad", FLAG),
    Input("payment_ip_abroad", FLAG),
    Input("payment_shipped_abroad", FLAG),
    Input("card_count_1h", COUNTS),
    Input("card_amount_minor_24h", ROUGH_AMOUNTS),
    Input("card_pace", ROUGH_TIMES),
    Input("card_seconds_since_last", SECONDS, crossed=True),
    Input("card_known_frauds_7d", COUNTS),
    Input("card_known_frauds_30d", COUNTS),
    Input("card_amount_mean_30d", AMOUNTS),
    Input("card_amount_times_cleared", TIMES, crossed=True),
    Input("card_amount_deviations", DEVIATIONS, crossed=True),
    Input("card_amount_rank", SHARES),
    Input("card_merchant_is_new", FLAG),
    Input("card_device_is_new", FLAG),
    Input("merchant_labelled_fraud_share_1d", PARTS, crossed=True),
    Input("merchant_labelled_fraud_share_7d", PARTS, crossed=True),
    Input("merchant_labelled_fraud_share_30d", PARTS),
    Input("merchant_fraud_rate_7d", RATES),
    Input("merchant_amount_times_mean_30d", ROUGH_TIMES),
    Input("merchant_pace", ROUGH_TIMES),
)


class _Column(NamedTuple):
    """One input laid out: for each fine cell (0: missing) the ids of its cells, and of its coarse cell alone."""

    feature: str
    edges: tuple[float, ...]
    cells: tuple[tuple[int, ...], ...]
    coarse: tuple[int, ...]


class Encoder:
    """The layout of all cells, and the way from features to cells.

    >>> encoder = Encoder(INPUTS)
    >>> cells = encoder.encode({"payment_amount_minor": 1999})
    >>> [encoder.names[cell] for cell in cells[:3]]
    ['payment_amount_minor from 1900', 'payment_amount_minor in 1500 to 2000', 'payment_hour missing']
    >>> len(set(cells)) == len(cells), max(cells) < encoder.size
    (True, True)
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.names: list[str] = []
        self.owners: list[tuple[str, ...]] = []
        self._columns: list[_Column] = []
        self._crossed: list[int] = []
        widths: list[int] = []
        for place, each in enumerate(inputs):
            column, width = self._lay_out(each)
            self._columns.append(column)
            widths.append(width)
            if each.crossed:
                self._crossed.append(place)
        coarse_names = [self._coarse_names(each) for each in inputs]
        self._pairs: list[tuple[int, int, int, int]] = []
        for one, other in combinations(self._crossed, 2):
            self._pairs.append((one, other, len(self.names), widths[other]))
            for first in coarse_names[one]:
                self.names += [f"{first} and {second}" for second in coarse_names[other]]
            self.owners += [(inputs[one].feature, inputs[other].feature)] * (widths[one] * widths[other])
        self.size = len(self.names)
        self.features = tuple(each.feature for each in inputs)
        place_of = {feature: place for place, feature in enumerate(self.features)}
        # The places of a cell's two features; one that is of a single feature has it twice, half and half.
        self.halves = [(place_of[owners[0]], place_of[owners[-1]]) for owners in self.owners]
        layout = json.dumps([self.names], separators=(",", ":"))
        self.schema = "sha256:" + hashlib.sha256(layout.encode()).hexdigest()[:32]

    def _coarse_names(self, each: Input) -> list[str]:
        edges = sorted(each.grid.coarse)
        bounds = [f"under {edges[0]:g}"]
        bounds += [f"in {low:g} to {high:g}" for low, high in pairwise(edges)]
        bounds.append(f"over {edges[-1]:g}")
        return [f"{each.feature} {bound}" for bound in ("missing", *bounds)]

    def _lay_out(self, each: Input) -> tuple[_Column, int]:
        feature, (fine, coarse_edges) = each.feature, each.grid
        coarse = [0, 1]
        for edge in fine:
            coarse.append(coarse[-1] + (edge in coarse_edges))
        coarse_names = self._coarse_names(each)
        start = len(self.names)
        self.names += coarse_names
        if len(fine) == len(coarse_edges):
            cells: list[tuple[int, ...]] = [(start + at,) for at in coarse]
        else:
            fine_start = len(self.names) - 1
            self.names += [f"{feature} from {edge:g}" for edge in (float("-inf"), *fine)]
            cells = [(fine_start + at, start + at_coarse) if at else (start,) for at, at_coarse in enumerate(coarse)]
        self.owners += [(feature,)] * (len(self.names) - start)
        return _Column(feature, fine, tuple(cells), tuple(coarse)), len(coarse_names)

    def encode(self, features: Features) -> list[int]:
        """Return the cells that hold, in the order of the layout."""
        cells: list[int] = []
        coarse: list[int] = []
        for feature, edges, of_cell, of_coarse in self._columns:
            value = features.get(feature)
            # Not a number is not known; what is infinite falls in the last cell on its side.
            place = 0 if value is None or value != value else bisect_right(edges, value) + 1  # noqa: PLR0124
            cells += of_cell[place]
            coarse.append(of_coarse[place])
        cells += [start + coarse[one] * width + coarse[other] for one, other, start, width in self._pairs]
        return cells


ENCODER = Encoder(INPUTS)
