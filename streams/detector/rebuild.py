"""The model as if nothing that was taken back had ever been said: the training log folded anew without it."""

from array import array
from collections.abc import Iterable

import numpy as np

from schemas.learning import TrainingRecord
from streams.detector.encode import ENCODER, Encoder
from streams.detector.guard import Witness
from streams.detector.learner import Learner


def rebuilt(records: Iterable[TrainingRecord], encoder: Encoder = ENCODER) -> Learner:
    """Return what has learned of each payment its last record alone, where that stands in the log.

    A verdict that was changed later, by a correction, a won dispute or a source that ranks higher, is left out with all
    that it taught. The log stays as it is; so the same records give the same model whenever it is rebuilt.

    >>> rebuilt([]).records
    0
    """
    last: dict[tuple[str, str], int] = {}
    cells, width = array("H"), len(encoder.features)
    said = list[tuple[Witness, float, int]]()
    for number, record in enumerate(records):
        last[record.card, record.transaction_id] = number
        cells.frombytes(encoder.cells_of(record.features).astype(np.uint16).tobytes())
        said.append((Witness.of(record), record.weight, record.reported_at_ms))
    learner, rows = Learner(encoder), np.frombuffer(cells, dtype=np.uint16).reshape(-1, width)
    for number in sorted(last.values()):
        witness, weight, reported_at_ms = said[number]
        learner.learn_told(witness, rows[number], weight)
        learner.learned_to_ms = max(learner.learned_to_ms or 0, reported_at_ms)
    return learner
