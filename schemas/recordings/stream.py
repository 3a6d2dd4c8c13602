"""Transactions and, each at its time, what is said of them: the one shape that recordings and the simulated world give.

A case is a transaction with the labels and outcomes it will get, if any. A stream puts cases in the order in which the
outside world learns of them: by event time, a label at its `reported_at_ms`, an outcome at its `occurred_at_ms`, and at
equal times both before transactions (but never before their own).
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from schemas.label import Label, Outcome
from schemas.transaction import Transaction

Event = Transaction | Label | Outcome
TimedEvent = tuple[int, Event]
"""Event time in ms, and what happened then."""


class Truth(NamedTuple):
    """What a transaction is, whoever says what of it. `campaign` names the kind of fraud it is part of."""

    fraud: bool
    campaign: str | None = None


class Case(NamedTuple):
    """One transaction and its afterlife: what will be said of it, what becomes of it, and what it is.

    The truth is known of a simulated transaction, also of one that nobody ever speaks of. A recording holds only what
    was said, so there it is None.
    """

    transaction: Transaction
    labels: tuple[Label, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    truth: Truth | None = None


class Stream:
    """The timed events of cases that come in event-time order. Read it once.

    A label or an outcome comes out where the stream's event time first reaches its own. Where the cases end, those that
    are not due yet stay behind and are counted in `labels_pending` and `outcomes_pending`; with `labels_to_the_end`
    they all come out as well. Of all that, what is before `from_ms` or not before `until_ms` is left out: two streams
    of the same cases, one until a time and one from it, give together what one without bounds gives.

    >>> paid = {"card": "card_a", "merchant": "mer_b"}
    >>> at = 1_522_540_800_000
    >>> cases = [
    ...     Case(
    ...         Transaction(transaction_id=f"tx-{n}", amount_minor=100, currency="EUR", event_time_ms=at + n, **paid),
    ...         (Label(transaction_id=f"tx-{n}", verdict="fraud", source="chargeback", occurred_at_ms=at + n,
    ...                reported_at_ms=at + n + 2, **paid),),
    ...     )
    ...     for n in (0, 2, 5)
    ... ]
    >>> stream = Stream(cases)
    >>> [(time_ms - at, type(event).__name__, event.transaction_id) for time_ms, event in stream][:4]
    [(0, 'Transaction', 'tx-0'), (2, 'Label', 'tx-0'), (2, 'Transaction', 'tx-2'), (4, 'Label', 'tx-2')]
    >>> stream.labels_pending, stream.outcomes_pending
    (1, 0)
    """

    def __init__(
        self,
        cases: Iterable[Case],
        *,
        labels_to_the_end: bool = False,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> None:
        self._cases = cases
        self._labels_to_the_end = labels_to_the_end
        self._from_ms = from_ms
        self._until_ms = until_ms
        self._waiting: list[tuple[int, int, Label | Outcome]] = []
        self._waited = 0

    @property
    def labels_pending(self) -> int:
        """How many labels of the transactions given so far have not come out."""
        return sum(isinstance(event, Label) for _, _, event in self._waiting)

    @property
    def outcomes_pending(self) -> int:
        """How many outcomes of the transactions given so far have not come out."""
        return len(self._waiting) - self.labels_pending

    def __iter__(self) -> Iterator[TimedEvent]:
        """Give the events.

        Raises
        ------
        ValueError
            A transaction is older than the one before it, or a label or an outcome is older than its transaction.
        """
        for event_ms, event in self._all():
            if self._until_ms is not None and event_ms >= self._until_ms:
                if not isinstance(event, Transaction):
                    self._wait(event_ms, event, event_ms)
                return
            if self._from_ms is None or event_ms >= self._from_ms:
                yield event_ms, event

    def _all(self) -> Iterator[TimedEvent]:
        waiting = self._waiting
        now_ms = 0
        for case in self._cases:
            transaction = case.transaction
            if transaction.event_time_ms < now_ms:
                raise ValueError(f"transaction {transaction.transaction_id} is older than the one before it")
            now_ms = transaction.event_time_ms
            while waiting and waiting[0][0] <= now_ms:
                due_ms, _, due = heappop(waiting)
                yield due_ms, due
            yield now_ms, transaction
            for outcome in case.outcomes:
                self._wait(outcome.occurred_at_ms, outcome, now_ms)
            for label in case.labels:
                self._wait(label.reported_at_ms, label, now_ms)
        while waiting and (self._labels_to_the_end or waiting[0][0] <= now_ms):
            due_ms, _, due = heappop(waiting)
            yield due_ms, due

    def _wait(self, due_ms: int, event: Label | Outcome, now_ms: int) -> None:
        if due_ms < now_ms:
            kind = "a label" if isinstance(event, Label) else "an outcome"
            raise ValueError(f"{kind} of {event.transaction_id} is older than its transaction")
        # Of what is due at the same time, what was said first comes first: the number also spares comparing messages.
        self._waited += 1
        heappush(self._waiting, (due_ms, self._waited, event))
