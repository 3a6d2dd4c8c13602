"""Transactions and, each at its time, their labels: the one shape that a recording and the simulated world give.

A case is a transaction with the label it will get, if any. A stream puts cases in the order in which the outside world
learns of them: by event time, a label at its `reported_at_ms`, and at equal times labels before transactions (but never
before their own).
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from schemas.label import Label
from schemas.transaction import Transaction

Case = tuple[Transaction, Label | None]
TimedEvent = tuple[int, Transaction | Label]
"""Event time in ms, and what happened then."""


class Stream:
    """The timed events of cases that come in event-time order. Read it once.

    A label comes out where the stream's event time first reaches its report time. Where the cases end, the labels that
    are not due yet stay behind and are counted in `labels_pending`; with `labels_to_the_end` they come out as well.

    >>> paid = {"card": "card_a", "merchant": "mer_b"}
    >>> at = 1_522_540_800_000
    >>> cases = [
    ...     (Transaction(transaction_id=f"tx-{n}", amount_minor=100, currency="EUR", event_time_ms=at + n, **paid),
    ...      Label(transaction_id=f"tx-{n}", verdict="fraud", source="chargeback", occurred_at_ms=at + n,
    ...            reported_at_ms=at + n + 2, **paid))
    ...     for n in (0, 2, 5)
    ... ]
    >>> stream = Stream(cases)
    >>> [(time_ms - at, type(event).__name__, event.transaction_id) for time_ms, event in stream][:4]
    [(0, 'Transaction', 'tx-0'), (2, 'Label', 'tx-0'), (2, 'Transaction', 'tx-2'), (4, 'Label', 'tx-2')]
    >>> stream.labels_pending
    1
    """

    def __init__(self, cases: Iterable[Case], *, labels_to_the_end: bool = False) -> None:
        self._cases = cases
        self._labels_to_the_end = labels_to_the_end
        self._waiting: list[tuple[int, int, Label]] = []

    @property
    def labels_pending(self) -> int:
        """How many labels of the transactions given so far have not come out."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[TimedEvent]:
        """Give the events.

        Raises
        ------
        ValueError
            A transaction is older than the one before it, or a label is older than its transaction.
        """
        waiting = self._waiting
        now_ms = 0
        for number, (transaction, label) in enumerate(self._cases):
            if transaction.event_time_ms < now_ms:
                raise ValueError(f"transaction {transaction.transaction_id} is older than the one before it")
            now_ms = transaction.event_time_ms
            while waiting and waiting[0][0] <= now_ms:
                due_ms, _, due = heappop(waiting)
                yield due_ms, due
            yield now_ms, transaction
            if label is not None:
                if label.reported_at_ms < now_ms:
                    raise ValueError(f"the label of {transaction.transaction_id} is older than its transaction")
                heappush(waiting, (label.reported_at_ms, number, label))
        while waiting and (self._labels_to_the_end or waiting[0][0] <= now_ms):
            due_ms, _, due = heappop(waiting)
            yield due_ms, due
