"""When an event is due: N times as fast as it happened, so many transactions a second, or as fast as it goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a stream is published. With neither speed nor rate nothing is ever waited for, nor late.

    `speed` is event time over real time: 60 publishes an hour in a minute. `rate` is transactions per second, whatever
    their event times; a label or an outcome is due with the transaction before it.

    >>> Pace(speed=60).due_s(transactions=7, event_ms=3_600_000)
    60.0
    >>> Pace(rate=50).due_s(transactions=7, event_ms=3_600_000)
    0.14
    >>> Pace().wait_s(transactions=7, event_ms=3_600_000, elapsed_s=9.0)
    0.0
    """

    speed: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        """Refuse a pace that cannot be kept.

        Raises
        ------
        ValueError
            Both speed and rate are given, or one of them is not a positive finite number.
        """
        given = [number for number in (self.speed, self.rate) if number is not None]
        if len(given) > 1:
            raise ValueError("give a speed or a rate, not both")
        if not all(0 < number < float("inf") for number in given):
            raise ValueError("speed and rate are positive numbers")

    def due_s(self, *, transactions: int, event_ms: int) -> float:
        """Return the seconds from the start at which an event is due.

        `transactions` is how many came before it; `event_ms` is its event time since the stream's origin.
        """
        if self.speed is not None:
            return event_ms / 1000 / self.speed
        if self.rate is not None:
            return transactions / self.rate
        return 0.0

    def wait_s(self, *, transactions: int, event_ms: int, elapsed_s: float) -> float:
        """Return the seconds left until an event is due; below zero is how far behind the publisher is."""
        if self.speed is None and self.rate is None:
            return 0.0
        return self.due_s(transactions=transactions, event_ms=event_ms) - elapsed_s
