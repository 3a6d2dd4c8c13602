"""A view of the store to one Parquet file."""

from pathlib import Path

from consumers.warehouse import Warehouse, WarehouseError

READ_VIEW = "SELECT * FROM {view:Identifier}"


def export(warehouse: Warehouse, view: str, path: Path) -> int:
    """Write every row of a view and return how many. The file appears when it is whole.

    Raises
    ------
    WarehouseError
        The store refused, or the file could not be written.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - only who exports needs half a second of imports

    table = warehouse.query_arrow(READ_VIEW, {"view": view})
    partial = path.with_name(path.name + ".partial")
    try:
        pq.write_table(table, partial, compression="zstd")
        partial.replace(path)
    except OSError as error:
        raise WarehouseError(f"{path} cannot be written: {error.strerror or error}") from error
    return int(table.num_rows)
