"""Every row's score and truth to a Parquet file, so that other models can be compared on the very same rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streams.quality.figures import Scored
from streams.quality.probability import probabilities_of
from streams.quality.ranking import Flags

FORMAT = "fraud-scores-1"


def write_scores(scored: Scored, tested: Flags, path: Path) -> None:
    """Write one row a payment, in the order of the stream.

    `transaction_id`; `card`: a number of this file's own; `date` of event time; `log_odds` and `probability` as the
    model said before it knew; `fraud`: the truth; `amount_minor` in the base currency; `tested`: whether it counts in
    the figures; then the segments' columns.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    table = pa.table(
        {
            "transaction_id": pa.array(scored.ids),
            "card": scored.cards,
            "date": scored.days.astype("datetime64[D]"),
            "log_odds": scored.scores,
            "probability": probabilities_of(scored.scores),
            "fraud": scored.frauds,
            "amount_minor": pa.array(scored.amounts, mask=np.isnan(scored.amounts)),
            "tested": tested,
            **{name: pa.array(column, mask=np.isnan(column)) for name, column in scored.columns.items()},
        }
    )
    pq.write_table(table.replace_schema_metadata({"format": FORMAT}), path)
