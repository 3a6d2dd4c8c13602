"""What happened to an entity, kept for the oracle: all of it, in order of arrival."""

from typing import Any

import numpy as np


class Log:
    """What happened, in order of arrival: arrays, because a merchant's payments are scanned at each of its payments."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self._rows = np.empty((8, 2), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.tags)

    @property
    def at_ms(self) -> "np.ndarray[Any, Any]":
        """The times."""
        return self._rows[: len(self.tags), 0]

    @property
    def amounts(self) -> "np.ndarray[Any, Any]":
        """The amounts."""
        return self._rows[: len(self.tags), 1]

    def append(self, at_ms: int, tag: str, amount: int = 0) -> None:
        """Add one."""
        if len(self.tags) == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty((len(self.tags) + 8, 2), dtype=np.int64)])
        self._rows[len(self.tags)] = at_ms, amount
        self.tags.append(tag)

    def remove(self, at_ms: int, tag: str) -> None:
        """Take away what happened then under this tag."""
        gone = {number for number, name in enumerate(self.tags) if name == tag and self._rows[number, 0] == at_ms}
        self._rows = np.delete(self._rows, sorted(gone), axis=0)
        self.tags = [name for number, name in enumerate(self.tags) if number not in gone]
