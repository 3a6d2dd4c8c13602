"""Payments from before a deployment began: sent to be remembered and learned from, and answered to nobody.

Such a record carries a Kafka header of this name; what it holds is for whoever sent it. A payment is history or is not
by its record alone, so its stages need no other word of it. Whoever may write transactions may write this header: a
gateway must pass on none that a client gave it.
"""

from collections.abc import Iterable

HISTORY = "history"
"""The header's name, and the mode of a prediction that was made of such a payment."""

Header = tuple[str, bytes | None]


def is_history(headers: Iterable[Header]) -> bool:
    """Return whether a record with these headers is part of a history.

    >>> is_history(()), is_history((("traceparent", b"00-1"), ("history", b"5c1f:7")))
    (False, True)
    """
    for name, _ in headers:  # noqa: SIM110 - asked of every payment, and a generator takes several times as long
        if name == HISTORY:
            return True
    return False


def history_header(recording: str, number: int) -> Header:
    """Return the header of an event: the recording that it is of, and its place in the order of publishing.

    >>> history_header("5c1f", 7)
    ('history', b'5c1f:7')
    """
    return HISTORY, f"{recording}:{number}".encode()


def place_in(recording: str, headers: Iterable[Header]) -> int | None:
    """Return the place that a record's header tells, or None where it is not of this recording.

    >>> [place_in(recording, [history_header("5c1f", 7)]) for recording in ("5c1f", "77aa")]
    [7, None]
    """
    for name, told in headers:
        of, _, number = (told or b"").decode("ascii", "replace").partition(":")
        if name == HISTORY and of == recording and number.isdecimal():
            return int(number)
    return None
