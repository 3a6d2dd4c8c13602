"""Sinks with one mistake each. The comparison must notice every one of them."""

from contextlib import suppress

from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import WarehouseUnavailableError


class CommitsFirst(TopicsToClickhouse):
    """Commits what it has read, and stores it then."""

    def _store(self) -> None:
        if self.batch.positions:
            self.reader.commit(self.batch.positions)
        super()._store()


class CommitsWithEachTable(TopicsToClickhouse):
    """Commits the whole batch when the rows of one table are stored."""

    def _store(self) -> None:
        for table in list(self.batch.rows)[:1]:
            with suppress(WarehouseUnavailableError):
                self.warehouse.insert_columns(table, self.batch.columns(table))
                self.batch.stored(table)
                self.reader.commit(self.batch.positions)
        super()._store()


class TakesAnErrorForDone(TopicsToClickhouse):
    """Goes on where the store could not be reached."""

    def _store(self) -> None:
        for table in list(self.batch.rows):
            with suppress(WarehouseUnavailableError):
                self.warehouse.insert_columns(table, self.batch.columns(table))
            self.batch.stored(table)
        super()._store()


MISTAKES: tuple[type[TopicsToClickhouse], ...] = (CommitsFirst, CommitsWithEachTable, TakesAnErrorForDone)
