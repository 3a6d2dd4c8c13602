"""A stream through the detector once, with every feature kept: the rows on which models are compared."""

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.fields import DAY_MS
from schemas.recordings.file_to_rows import read_frames, read_mapping
from schemas.recordings.recording import cases
from schemas.recordings.stream import Case
from schemas.settings import Settings
from streams.detector.features import FEATURES
from streams.documents import shipped_rates
from streams.file_to_quality import Costs, score_all
from streams.label_faults import NO_FAULTS, LabelFaults
from streams.quality.figures import Scored

NAMES = tuple(feature.name for feature in FEATURES)

Table = npt.NDArray[np.float32]
"""A row a payment, a column a feature in the order of `NAMES`; not a number where a feature has no value."""


def recorded(recording: Path, mapping: str, delay_days: int, last_day: int | None) -> Iterator[Case]:
    """Give the cases of a recording up to the end of a day since 1970."""
    columns = read_mapping(mapping)
    for case in cases(read_frames(recording, columns), columns, delay_days * DAY_MS):
        if last_day is not None and case.transaction.event_time_ms // DAY_MS > last_day:
            return
        yield case


SETTINGS = Settings.model_fields


def passed(
    stream: Iterable[Case],
    faults: LabelFaults = NO_FAULTS,
    snapshot_records: int = SETTINGS["snapshot_records"].default,
) -> Scored:
    """Return every payment as this system scored it, in one process, with all its features."""
    # Millions of small objects live until their labels come: looking through them for cycles finds none.
    gc.disable()
    try:
        return score_all(
            stream,
            shipped_rates(),
            kept_one_in=SETTINGS["legitimate_kept_one_in"].default,
            snapshot_records=snapshot_records,
            costs=Costs(),
            columns=NAMES,
            faults=faults,
        )
    finally:
        gc.enable()


def table_of(scored: Scored) -> Table:
    """Return the features as a model takes them that is trained in batches: the very numbers that were scored."""
    return np.column_stack([scored.columns[name] for name in NAMES])
