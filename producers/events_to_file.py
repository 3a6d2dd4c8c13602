"""Write the truth of every transaction that was published to a file, whatever becomes of it later."""

import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from producers.events_to_kafka import Writer
from schemas.recordings.stream import Case, Event, Truth
from schemas.transaction import Transaction


def truth_line(transaction: Transaction, truth: Truth) -> str:
    """Return what a transaction is, as one JSON object.

    >>> payment = Transaction(transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=1999,
    ...                       currency="EUR", event_time_ms=1_522_540_800_000)
    >>> truth_line(payment, Truth(fraud=True, campaign="card_testing"))[:76]
    '{"transaction_id": "tx-1", "card": "card_a", "fraud": true, "campaign": "car'
    """
    return json.dumps(
        {
            "transaction_id": transaction.transaction_id,
            "card": transaction.card,
            "fraud": truth.fraud,
            "campaign": truth.campaign,
            "amount_minor": transaction.amount_minor,
            "currency": transaction.currency,
            "event_time_ms": transaction.event_time_ms,
        }
    )


class TruthWriter:
    """A writer that passes everything on, and writes a line for each transaction that was taken.

    `cases` must be what is published: the truth of a transaction is no event, so it is kept from there until the
    transaction was sent.
    """

    def __init__(self, writer: Writer, file: TextIO) -> None:
        self._writer = writer
        self._file = file
        self._truths: dict[tuple[str, str], Truth] = {}

    @property
    def failed(self) -> int:
        """Messages that were not delivered."""
        return self._writer.failed

    def watch(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Give the cases on, and keep the truth of each."""
        for case in cases:
            if case.truth:
                self._truths[case.transaction.card, case.transaction.transaction_id] = case.truth
            yield case

    def send(self, event: Event) -> bool:
        """Pass an event on, and write the truth of a transaction that was taken."""
        taken = self._writer.send(event)
        if taken and isinstance(event, Transaction):
            truth = self._truths.pop((event.card, event.transaction_id), None)
            if truth:
                self._file.write(truth_line(event, truth) + "\n")
        return taken

    def poll(self) -> None:
        """Take answers."""
        self._writer.poll()

    def close(self) -> None:
        """Wait for what is under way, and write out what is left."""
        self._writer.close()
        self._file.flush()
