"""Columns of Python values as an Arrow table with the types of the store's table, which chDB reads where it lies.

The types are Arrow's own for those of ClickHouse: a `LowCardinality` is a dictionary, a `Map` a map. A type that Arrow
has no like of (`Enum`, `IPv4`, integers over 64 bits) takes no value.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

MISFITS = (pa.ArrowException, AttributeError, OverflowError, TypeError, ValueError)
"""What is raised where a value is none of its column's type. Their texts show the value."""


class MissingError(ValueError):
    """There is no value where one must be."""


class MisfitError(Exception):
    """A column holds a value that its type does not take. It names the column, and never the value."""


def arrow_table(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return the columns that the schema names. They are left as they are.

    Raises
    ------
    MisfitError
        Of the first column that holds a value which is not of its type, or none where there must be one.

    >>> numbers = pa.map_(pa.string(), pa.float64())
    >>> schema = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("m", numbers)])
    >>> arrow_table({"n": [1, 2], "m": [{"a": 1, "b": 0.5}, {}]}, schema)["m"].to_pylist()
    [[('a', 1.0), ('b', 0.5)], []]
    >>> arrow_table({"n": [1, "secret"], "m": [{}, {}]}, schema)
    Traceback (most recent call last):
    consumers.columns_of_arrow.MisfitError: n: ArrowInvalid
    >>> arrow_table({"n": [1, None], "m": [{}, {}]}, schema)
    Traceback (most recent call last):
    consumers.columns_of_arrow.MisfitError: n: MissingError
    """
    return pa.Table.from_arrays([_column(columns[field.name], field) for field in schema], schema=schema)


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    try:
        return _array(values, field)
    except MISFITS as error:
        raise MisfitError(f"{field.name}: {type(error).__name__}") from None


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    make = next((make for is_one, make in _MAKERS if is_one(field.type)), pa.array)
    made = make(values, field.type)
    if made.null_count and not field.nullable:
        raise MissingError  # the engine would take it for a zero or an empty text
    return made


def _maps(values: Sequence[Mapping[str, Any]], kind: pa.MapType) -> pa.Array:
    """Return dicts as maps. Most rows have the same keys in the same order: each run of keys is packed once."""
    places: dict[tuple[str, ...], int] = {}
    runs = pa.array([places.setdefault(tuple(each), len(places)) for each in values], type=pa.int32())
    keys = _lists(list(places), pa.list_(kind.key_field)).take(runs)
    items = list(chain.from_iterable([each.values() for each in values]))
    return pa.MapArray.from_arrays(keys.offsets, keys.values, _array(items, kind.item_field), type=kind)


def _lists(values: Sequence[Sequence[Any]], kind: pa.ListType) -> pa.Array:
    if not {list, tuple}.issuperset(map(type, values)):
        raise TypeError  # a text would be taken for a list of letters
    offsets = pa.array(list(accumulate(map(len, values), initial=0)), type=pa.int32())
    return pa.ListArray.from_arrays(offsets, _array(list(chain.from_iterable(values)), kind.value_field), type=kind)


def _structs(values: Sequence[Sequence[Any]], kind: pa.StructType) -> pa.Array:
    fields = [kind.field(place) for place in range(kind.num_fields)]
    parts = list(zip(*values, strict=True)) or [()] * len(fields)
    return pa.StructArray.from_arrays([_array(*each) for each in zip(parts, fields, strict=True)], fields=fields)


def _floats(values: Sequence[float | None], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type=kind)
    except pa.ArrowInvalid:
        # Arrow refuses a whole number that is none of its floats; the nearest one is what everybody else takes.
        return pa.array([float(value) if isinstance(value, int) else value for value in values], type=kind)


def _whole(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if float in map(type, values):
        raise TypeError  # Arrow would cut its fraction off
    return pa.array(values, type=kind)


_MAKERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, Any], pa.Array]], ...] = (
    (pa.types.is_map, _maps),
    (pa.types.is_list, _lists),
    (pa.types.is_struct, _structs),
    (pa.types.is_floating, _floats),
    (pa.types.is_integer, _whole),
    (pa.types.is_temporal, _whole),
)
"""How values become an array, by kind of type; of any other they are given to Arrow as they are."""
