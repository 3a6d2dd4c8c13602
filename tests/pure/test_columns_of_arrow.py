"""Columns to Arrow: what is given is in the table as it was, and what does not fit is named and never shown."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.columns_of_arrow import MisfitError, arrow_table

TEXT = pa.dictionary(pa.int32(), pa.string())
PLACE = pa.struct([pa.field("partition", pa.int32(), nullable=False), pa.field("offset", pa.int64(), nullable=False)])
NUMBERS = pa.map_(TEXT, pa.field("value", pa.float64(), nullable=False))
SHOWN = "4111-1111"
MISFITS: list[tuple[Any, list[Any]]] = [
    (pa.int64(), [1, SHOWN]),
    (pa.int64(), [1, 2**63]),
    (pa.int64(), [1, 1.5]),
    (pa.int64(), [1, None]),
    (pa.uint8(), [1, True, 0.0]),
    (pa.int32(), [1, 2**31]),
    (pa.float64(), [0.5, SHOWN]),
    (pa.float64(), [2**60, SHOWN]),
    (pa.float64(), [0.5, 10**400]),
    (pa.float64(), [0.5, None]),
    (pa.string(), [SHOWN, 7]),
    (pa.string(), [SHOWN, None]),
    (pa.string(), [SHOWN, "\ud800"]),
    (TEXT, [SHOWN, None]),
    (pa.timestamp("ms", tz="UTC"), [0, SHOWN]),
    (pa.timestamp("ms", tz="UTC"), [0, 1.5]),
    (pa.list_(pa.field("item", pa.string(), nullable=False)), [[SHOWN], [None]]),
    (pa.list_(pa.string()), [[SHOWN], [7]]),
    (pa.list_(pa.string()), [[], SHOWN]),
    (pa.list_(pa.int8()), [[1], [1.5]]),
    (NUMBERS, [{SHOWN: 0.5}, {"a": None}]),
    (NUMBERS, [{SHOWN: 0.5}, {"a": "0.5"}]),
    (NUMBERS, [{SHOWN: 0.5}, {7: 0.5}]),
    (NUMBERS, [{SHOWN: 0.5}, None]),
    (NUMBERS, [{SHOWN: 0.5}, [("a", 0.5)]]),
    (pa.map_(TEXT, PLACE), [{SHOWN: (1, 2)}, {"a": (1, None)}]),
    (pa.map_(TEXT, PLACE), [{SHOWN: (1, 2)}, {"a": (1, 2, 3)}]),
    (pa.map_(TEXT, PLACE), [{SHOWN: (1, 2.5)}, {}]),
]


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
            st.integers(-(2**70), 2**70) | st.floats(allow_nan=False),
            max_size=4,
        )
    )
)
def test_maps_of_any_keys_are_as_they_were(maps: list[dict[str, float]]) -> None:
    """Law: each row has its own keys in their order, and each number is the nearest float."""
    made = arrow_table({"m": maps}, pa.schema([pa.field("m", NUMBERS, nullable=False)]))
    made.validate(full=True)
    assert made["m"].to_pylist() == [[(key, float(value)) for key, value in each.items()] for each in maps]


@pytest.mark.parametrize(
    ("kind", "values", "read"),
    [
        (pa.int64(), [2**63 - 1, None], [2**63 - 1, None]),
        (pa.float64(), [2**60, None, 0.5], [float(2**60), None, 0.5]),
        (TEXT, ["a", "", "a", None], ["a", "", "a", None]),
        (pa.list_(pa.float64()), [[None, 1.5], []], [[None, 1.5], []]),
        (pa.map_(TEXT, PLACE), [{"t": (3, 2**40)}, {}], [[("t", {"partition": 3, "offset": 2**40})], []]),
        (pa.map_(pa.string(), pa.map_(pa.string(), pa.int8())), [{"a": {"b": 1}}], [[("a", [("b", 1)])]]),
    ],
)
def test_a_column_is_as_it_was(kind: Any, values: list[Any], read: list[Any]) -> None:
    made = arrow_table({"other": [], "c": values}, pa.schema([pa.field("c", kind)]))
    made.validate(full=True)
    assert made["c"].to_pylist() == read


@pytest.mark.parametrize(("kind", "values"), MISFITS)
def test_what_does_not_fit_is_named_and_never_shown(kind: Any, values: list[Any]) -> None:
    with pytest.raises(MisfitError, match=r"^share: ") as refused:
        arrow_table({"share": values}, pa.schema([pa.field("share", kind, nullable=False)]))
    assert SHOWN not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
