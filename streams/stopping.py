"""A process that is told to stop ends what it is doing in order."""

import signal
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What looks at `stopping` wherever it may stop."""

    stopping: bool


def stop_on_signals(going: Stoppable) -> None:
    """Have SIGTERM and SIGINT tell it to stop."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        going.stopping = True

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
