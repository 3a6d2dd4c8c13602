"""A forest of decision trees as it decides: all trees of a payment at once, and what each feature added.

A tree asks one question at a node: is this feature's cell at or above one of its own. For each cell there is one mask a
tree, with a bit for each leaf that the cell leaves open; all masks of a payment anded leave, as the lowest bit of each
tree, the leaf it ends in (QuickScorer: Lucchese et al., SIGIR 2015). What a feature added is how the mean of what lies
below changes along the path (Saabas, 2014). Values are multiples of 2**-32, so sums are exact in any order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.detector.encode import AnyCells

LEAVES_MAX = 64
"""Bits of a mask."""
TREES_MAX = 1_000
FINENESS = 2.0**32
VALUE_MAX = 50.0
"""No honest tree says more of a payment, in log-odds."""


class Tree(NamedTuple):
    """A tree by its nodes, parents before children; the first is the root, and a leaf has no children.

    `left` and `right` are nodes, 0 at a leaf; a payment goes right if its cell of the feature is at or above `cell`.
    `value` is what a leaf says in log-odds; at another node the mean of what is said below.
    """

    left: Sequence[int]
    right: Sequence[int]
    cell: Sequence[int]
    value: Sequence[float]

    @property
    def ends(self) -> list[int]:
        """Its leaves' nodes, from left to right."""
        ends, waiting = list[int](), [0]
        while waiting:
            node = waiting.pop()
            if self.left[node]:
                waiting += [self.right[node], self.left[node]]
            else:
                ends.append(node)
        return ends

    def saying(self, values: Iterable[float]) -> "Tree":
        """Return the same tree with other values at its leaves, from left to right."""
        said = list(self.value)
        for node, value in zip(self.ends, values, strict=True):
            said[node] = value
        return self._replace(value=said)

    def check(self, cells: int) -> None:
        """Raise ValueError where these lists are no tree over so many cells, or say what is not sane."""
        if not len(self.left) == len(self.right) == len(self.cell) == len(self.value) > 0:
            raise ValueError("a tree's lists differ in length")
        if sorted(child for child in (*self.left, *self.right) if child) != [*range(1, len(self.left))]:
            raise ValueError("a tree's nodes are not each the child of one")
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            if bool(left) != bool(right) or (left and min(left, right) <= node):
                raise ValueError("a tree's node has one child, or one before it")
        if sum(not left for left in self.left) > LEAVES_MAX:
            raise ValueError(f"a tree has more than {LEAVES_MAX} leaves")
        if not all(0 <= cell < cells for cell in self.cell):
            raise ValueError("a tree asks for a cell that there is not")
        if not all(isfinite(value) and abs(value) <= VALUE_MAX for value in self.value):
            raise ValueError(f"a tree says what is not finite, or over {VALUE_MAX:g}")


class Forest:
    """Trees over the cells of a layout, ready to decide. Their leaves are numbered through, from left to right.

    Parameters
    ----------
    base : log-odds before any tree has spoken.
    owners : for each cell the place of the feature that it belongs to, ascending.

    >>> tree = Tree(left=[1, 0, 0], right=[2, 0, 0], cell=[1, 0, 0], value=[0.25, -0.5, 1.0])
    >>> forest = Forest(-3.0, [tree], owners=[0, 0, 1, 1])
    >>> forest.log_odds(forest.leaves([0, 2])), forest.log_odds(forest.leaves([1, 2]))
    (-3.5, -2.0)
    >>> forest.contributions(forest.leaves([1, 2])).tolist()
    [0.75, 0.0]
    """

    def __init__(self, base: float, trees: Sequence[Tree], owners: Sequence[int]) -> None:
        ends = [len(owners) - owners[::-1].index(feature) for feature in range(owners[-1] + 1)]
        widest = max((len(tree.ends) for tree in trees), default=1)
        bits = np.uint32 if widest <= LEAVES_MAX // 2 else np.uint64
        everything = (1 << widest) - 1
        self._base, self._one = fine(base), bits(1)
        self._masks = np.full((len(owners), len(trees)), everything, dtype=bits)
        firsts, values = list[int](), list[float]()
        places, added = list[int](), list[float]()
        for number, tree in enumerate(trees):
            # The bits up to the lowest one are as many as the leaf's number in its tree and one.
            firsts.append(len(values) - 1)
            said = [fine(value) for value in tree.value]
            for branch in _branches(tree):
                cell = tree.cell[branch.node]
                if tree.left[branch.node]:
                    closed = (1 << branch.leaf + branch.leaves_left) - (1 << branch.leaf)
                    self._masks[cell : ends[owners[cell]], number] &= bits(everything ^ closed)
                    continue
                for at, below in pairwise((*branch.path, branch.node)):
                    places.append(len(values) * len(ends) + owners[tree.cell[at]])
                    added.append(said[below] - said[at])
                values.append(said[branch.node])
        self._firsts, self._values = np.array(firsts, dtype=np.int64), np.array(values)
        sums = np.bincount(np.array(places, dtype=np.int64), added, minlength=len(values) * len(ends))
        self._added = sums.reshape(-1, len(ends))

    def leaves(self, cells: AnyCells) -> npt.NDArray[np.int64]:
        """Return the leaf that each tree ends in, for a payment with these cells, one of each feature."""
        open_: npt.NDArray[Any] = np.bitwise_and.reduce(self._masks.take(cells, axis=0), axis=0)
        leaves: npt.NDArray[np.int64] = np.bitwise_count(open_ ^ (open_ - self._one)) + self._firsts
        return leaves

    def log_odds(self, leaves: npt.NDArray[np.int64]) -> float:
        """Return the log-odds of fraud that the trees add up to."""
        return self._base + float(np.add.reduce(self._values[leaves]))

    def contributions(self, leaves: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return what each feature added to the log-odds, on the way from each tree's mean."""
        added: npt.NDArray[np.float64] = np.add.reduce(self._added.take(leaves, axis=0), axis=0)
        return added


class _Branch(NamedTuple):
    """A node with its first leaf, how many leaves its left side has, and the nodes above it, the root first."""

    node: int
    leaf: int
    leaves_left: int
    path: tuple[int, ...]


def _branches(tree: Tree) -> Iterator[_Branch]:
    """Give all nodes of a tree, leaves numbered and given from left to right."""
    leaves = [1] * len(tree.left)
    for node in range(len(leaves) - 1, -1, -1):
        if tree.left[node]:
            leaves[node] = leaves[tree.left[node]] + leaves[tree.right[node]]
    waiting: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
    while waiting:
        node, leaf, path = waiting.pop()
        left, right = tree.left[node], tree.right[node]
        yield _Branch(node, leaf, leaves[left] if left else 0, path)
        if left:
            waiting += [(right, leaf + leaves[left], (*path, node)), (left, leaf, (*path, node))]


def fine(value: float) -> float:
    """Return a number as a multiple of 2**-32: thousands of them add up without rounding."""
    return round(value * FINENESS) / FINENESS


def trees_of(state: Sequence[Mapping[str, Any]], cells: int) -> list[Tree]:
    """Return the trees in a snapshot, over so many cells.

    Raises
    ------
    ValueError
        They are no trees, too many, or say what is not finite.
    """
    trees = [Tree(**each) for each in state]
    if len(trees) > TREES_MAX:
        raise ValueError(f"there are more than {TREES_MAX} trees")
    for tree in trees:
        tree.check(cells)
    return trees
