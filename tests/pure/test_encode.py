"""From features to cells: anything gives cells of the layout, and the layout only changes on purpose."""

from math import inf, isfinite, nan
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.detector.encode import ENCODER, INPUTS, Encoder
from streams.detector.features import FEATURES

SCHEMA = "sha256:684b84987195dc5590755b99299894bd"
"""Changes with any name, order or edge of a cell: models made before are refused from then on."""

NAMES = [each.feature for each in INPUTS]
NUMBERS = st.one_of(
    st.floats(), st.integers(-(10**30), 10**30), st.booleans(), st.sampled_from([nan, inf, -inf, 1e308, -1e308, 5e-324])
)
ANYTHING = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), NUMBERS, max_size=30)


def test_layout_is_as_recorded() -> None:
    """Law: an unintended change of the inputs is noticed here, before it makes every published model useless."""
    assert ENCODER.schema == SCHEMA


@given(ANYTHING)
def test_anything_gives_cells_of_the_layout(features: dict[str, Any]) -> None:
    """Law: missing, not a number, infinite or absurd: one cell of each input, in order, with weights of its own."""
    cells = ENCODER.encode(features)
    assert [ENCODER.owners[cell] for cell in cells] == [*range(len(NAMES))]
    parts = ENCODER.parts_of(cells)
    assert len(set(parts)) == len(parts)
    assert max(parts) < ENCODER.size
    for name, cell in zip(NAMES, cells, strict=True):
        assert all(ENCODER.names[part].startswith(f"{name} ") for part in ENCODER.parts[cell])
        finite = isfinite(features.get(name, nan))
        assert ENCODER.names[cell].endswith("missing") != finite


@given(ANYTHING)
def test_weights_of_a_payment_are_those_of_its_cells(features: dict[str, Any]) -> None:
    """Law: cell after cell, the fine weight before the coarse one: the order in which they are added up."""
    cells = ENCODER.encode(features)
    assert ENCODER.parts_of(cells).tolist() == [part for cell in cells for part in ENCODER.parts[cell]]


@given(ANYTHING)
def test_unseen_features_change_nothing(features: dict[str, Any]) -> None:
    """Law: what is no input of the model cannot move it."""
    known = {name: value for name, value in features.items() if name in NAMES}
    assert ENCODER.encode(features) == ENCODER.encode(known)


@given(st.sampled_from(INPUTS), NUMBERS)
def test_value_falls_in_the_cell_that_its_name_says(each: Any, value: float) -> None:
    """Law: the fine and the coarse cell of a value hold it, as their names say; nothing falls between cells."""
    encoder = Encoder([each])
    (cell,) = encoder.encode({each.feature: value})
    names = [encoder.names[part].removeprefix(f"{each.feature} ") for part in encoder.parts[cell]]
    if not isfinite(value):
        assert names == ["missing"]
        return
    for name in names:
        kind, *bounds = name.removeprefix("all ").replace(" to ", " ").split(" ")
        edges = [_edge(each.grid.fine, bound) for bound in bounds]
        if kind == "in":
            assert edges[0] <= value < edges[1]
        elif kind == "under":
            assert value < edges[0]
        else:
            assert kind in {"over", "from"}
            assert value >= edges[0]


def _edge(edges: tuple[float, ...], named: str) -> float:
    """Return the edge of that name: names are rounded to six digits."""
    return next(edge for edge in (-inf, *edges) if f"{edge:g}" == named)


def test_inputs_name_features() -> None:
    """Law: the model takes only what the table tells, each once, and edges ascend without a repeat."""
    assert set(NAMES) <= {feature.name for feature in FEATURES}
    assert len(set(NAMES)) == len(NAMES)
    for each in INPUTS:
        assert list(each.grid.fine) == sorted(set(each.grid.fine))
        assert each.grid.coarse <= set(each.grid.fine)


def test_cells_have_names_of_their_own() -> None:
    """Law: each weight has one name, and each belongs to a cell."""
    assert len(ENCODER.names) == ENCODER.size == len(set(ENCODER.names))
    assert len(ENCODER.owners) == len(ENCODER.parts) == ENCODER.cells
    assert {part for parts in ENCODER.parts for part in parts} == set(range(ENCODER.size))
