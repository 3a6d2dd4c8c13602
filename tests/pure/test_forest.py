"""Trees: what they say at once is what a walk down each says, and what XGBoost says; and they grow the same again."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from streams.detector import growing
from streams.detector.encode import ENCODER, INPUTS
from streams.detector.forest import FINENESS, LEAVES_MAX, Forest, Tree, fine
from streams.detector.growing import PARAMETERS, TREES, Examples, Grown

OWNERS = [0] * 4 + [1] * 7 + [2] * 2


def _tree(chance: Random, splits: int) -> Tree:
    """Return a tree that chance has split so often, over the cells of `OWNERS`."""
    left, right, cell, leaves = [0], [0], [0], [0]
    for _ in range(splits):
        node = leaves.pop(chance.randrange(len(leaves)))
        left[node], right[node], cell[node] = len(left), len(left) + 1, chance.randrange(len(OWNERS))
        leaves += [len(left), len(left) + 1]
        left, right, cell = [*left, 0, 0], [*right, 0, 0], [*cell, 0, 0]
    return Tree(left, right, cell, [chance.uniform(-2, 2) for _ in left])


def _walked(tree: Tree, cells: Sequence[int]) -> list[int]:
    """Return the nodes on a payment's way, from the root to its leaf."""
    way = [0]
    while tree.left[way[-1]]:
        asked = tree.cell[way[-1]]
        way.append((tree.right if cells[OWNERS[asked]] >= asked else tree.left)[way[-1]])
    return way


@given(
    st.randoms(use_true_random=False), st.sampled_from([0, 1, 5, LEAVES_MAX // 2 - 1, LEAVES_MAX // 2, LEAVES_MAX - 1])
)
def test_all_trees_at_once_say_what_each_says(chance: Random, splits_max: int) -> None:
    """Law: for any payment and any trees, leaves, log-odds and what each feature added are those of a walk."""
    trees = [_tree(chance, chance.randint(0, splits_max)) for _ in range(7)] + [_tree(chance, splits_max)]
    forest = Forest(-3.0, trees, OWNERS)
    ends = [(tree, node) for tree in trees for node in tree.ends]
    for _ in range(20):
        cells = [chance.randrange(0, 4), chance.randrange(4, 11), chance.randrange(11, 13)]
        ways = [_walked(tree, cells) for tree in trees]
        leaves = forest.leaves(cells)
        assert [ends[leaf] for leaf in leaves] == [(tree, way[-1]) for tree, way in zip(trees, ways, strict=True)]
        said = sum(fine(tree.value[way[-1]]) for tree, way in zip(trees, ways, strict=True))
        assert forest.log_odds(leaves) == -3.0 + said
        means = sum(fine(tree.value[0]) for tree in trees)
        assert sum(forest.contributions(leaves)) == said - means
        assert (forest.log_odds(leaves) * FINENESS).is_integer()


def _examples(number: int, held_max: int = 10_000) -> Examples:
    chance, examples = Random(number), Examples(held_max, len(INPUTS))
    for _ in range(number):
        features = {each.feature: chance.choice(each.grid.fine) for each in INPUTS if chance.random() < 0.9}
        odd = features.get("payment_hour", 12) < 6 and features.get("payment_amount_minor", 0) < 5_000
        examples.add(ENCODER.encode(features), is_fraud=odd or chance.random() < 0.02, weight=chance.choice([1.0, 3.0]))
    return examples


def test_trees_say_what_xgboost_says() -> None:
    """Law: what was taken over from XGBoost's trees is all of them: to a millionth, its own log-odds."""
    examples = _examples(1_500)
    cells, frauds, weights = (each[: len(examples)] for each in (examples._cells, examples._frauds, examples._weights))
    matrix = xgboost.QuantileDMatrix(cells.astype(np.float32), label=frauds, weight=weights, nthread=1)
    rate = float(np.average(frauds, weights=weights))
    theirs = xgboost.train({**PARAMETERS, "base_score": rate}, matrix, TREES).predict(matrix, output_margin=True)
    grown = examples.grow()
    forest = Forest(grown.base, grown.trees, ENCODER.owners)
    ours = [forest.log_odds(forest.leaves(row)) for row in cells]
    assert ours == pytest.approx(theirs.tolist(), abs=1e-5)
    assert max(ours) - min(ours) > 3


def test_same_examples_grow_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: trees are a function of the last examples in their order, however many came before them."""
    monkeypatch.setattr(growing, "TREES", 5)
    assert _examples(700).grow() == _examples(700).grow()
    short = _examples(700, held_max=300)
    last = Examples(300, len(INPUTS))
    whole = _examples(700)
    for at in range(400, 700):
        last.add([*whole._cells[at]], is_fraud=bool(whole._frauds[at]), weight=float(whole._weights[at]))
    assert short.grow() == last.grow() != whole.grow()
    assert (len(short), short.frauds) == (300, last.frauds)


def test_leaves_know_what_fell_in_them() -> None:
    """Law: each tree tells for each of its leaves a sum of p (1 - p) of examples, so all together a share of all."""
    grown: Grown = _examples(800).grow()
    assert len(grown.seen) == sum(len(tree.ends) for tree in grown.trees)
    assert min(grown.seen) > 0
    assert sum(grown.seen) < 0.25 * 3 * 800 * TREES
