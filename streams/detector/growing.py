"""Trees from labelled payments: XGBoost grows them, over the same cells that the online model has.

Cells and not numbers, because a tree over generic edges fits less of what only this month had. One thread and a fixed
seed, so that the same examples in the same order give the same trees wherever the library is the same.
"""

import json
from collections.abc import Iterable
from math import ceil, log
from typing import Any, NamedTuple

import numpy as np

from streams.detector.encode import AnyCells
from streams.detector.forest import Tree

TREES = 100
PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.1,
    "min_child_weight": 0.1,
    "colsample_bytree": 0.6,
    "nthread": 1,
    "seed": 1,
}
"""No row is left out, because fraud is rare enough; each tree sees some of the features, so that they differ."""


class Grown(NamedTuple):
    """Trees with what they start from, and what each leaf has seen: its sum of p (1 - p), as weighed, by tree."""

    base: float
    trees: tuple[Tree, ...]
    seen: tuple[float, ...]


class Examples:
    """The last labelled payments that were learned, in the order of their log.

    Parameters
    ----------
    held_max : so many at most; what is older is forgotten.
    features : cells of an example.
    """

    def __init__(self, held_max: int, features: int) -> None:
        self._held_max = held_max
        self._cells = np.zeros((held_max, features), dtype=np.uint16)
        self._frauds = np.zeros(held_max, dtype=np.float32)
        self._weights = np.zeros(held_max, dtype=np.float32)
        self._added = 0

    def add(self, cells: AnyCells, *, is_fraud: bool, weight: float) -> None:
        """Remember one example."""
        at = self._added % self._held_max
        self._cells[at] = cells
        self._frauds[at] = is_fraud
        self._weights[at] = weight
        self._added += 1

    def hold_back(self, ago: int) -> None:
        """Let nothing grow from the example that was added so many ago, 1 being the last."""
        if ago <= len(self):
            self._weights[(self._added - ago) % self._held_max] = 0.0

    def __len__(self) -> int:
        return min(self._added, self._held_max)

    @property
    def frauds(self) -> int:
        """How many of those that trees grow from are fraud."""
        return int(self._frauds[: len(self)][self._weights[: len(self)] > 0].sum())

    def grow(self, instead: Iterable[tuple[str, float]] = ()) -> Grown:
        """Return trees grown from all that is remembered, of which some must be fraud and some not.

        `instead` are parameters, by name, that take the place of those in `PARAMETERS`.
        """
        import xgboost  # noqa: PLC0415 - half a second and 100 MB, and only who learns grows trees

        oldest = self._added % self._held_max if self._added > self._held_max else 0
        order = (np.arange(len(self)) + oldest) % self._held_max
        order = order[self._weights[order] > 0]
        frauds, weights = self._frauds[order], self._weights[order]
        rate = float(np.average(frauds, weights=weights))
        data = xgboost.QuantileDMatrix(self._cells[order].astype(np.float32), label=frauds, weight=weights, nthread=1)
        booster = xgboost.train({**PARAMETERS, **dict(instead), "base_score": rate}, data, TREES)
        model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        grown = [_tree_of(each) for each in model["trees"]]
        base = log(rate / (1 - rate))
        return Grown(base, tuple(tree for tree, _ in grown), tuple(each for _, seen in grown for each in seen))


def library_version() -> str:
    """Return the version of the library that grows trees."""
    import xgboost  # noqa: PLC0415 - as above

    return str(xgboost.__version__)


def _tree_of(each: dict[str, Any]) -> tuple[Tree, list[float]]:
    """Return one of XGBoost's trees, and what each of its leaves has seen, from left to right.

    XGBoost numbers parents before their children, and asks for less than a number, which for whole ones is less than
    the next whole one; a leaf has its value where others have that number.
    """
    left = [max(child, 0) for child in each["left_children"]]
    right = [max(child, 0) for child in each["right_children"]]
    asked, seen = each["split_conditions"], each["sum_hessian"]
    value = list(asked)
    for node in range(len(left) - 1, -1, -1):
        if left[node]:
            parts = [(seen[child], value[child]) for child in (left[node], right[node])]
            value[node] = sum(share * said for share, said in parts) / sum(share for share, _ in parts)
    cell = [ceil(number) if child else 0 for number, child in zip(asked, left, strict=True)]
    tree = Tree(left, right, cell, value)
    return tree, [seen[node] for node in tree.ends]
