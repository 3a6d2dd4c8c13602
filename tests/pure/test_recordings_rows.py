"""Recorded files as cases: CSV and Parquet alike, exact amounts, and a bad row named after those before it."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import DAY_MS
from schemas.recordings.file_to_rows import read_frames, read_mapping
from schemas.recordings.mapping import MappingError, RecordingError, parse_mapping
from schemas.recordings.recording import cases, minor_units
from schemas.recordings.stream import Case

HEADER = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD,TX_FRAUD_SCENARIO\n"
ROWS = (
    "0,2018-04-01 00:00:31,596,3156,57.16,0,0\n"
    "1,2018-04-01 00:02:10,4961,3412,85.64999999999999,1,3\n"
    "2,2018-04-01 00:02:10,2,1365,146.0,,0\n"
)
MINIMAL = """
transaction_id = { column = "ID" }
card = { const = "card_a" }
merchant = { const = "mer_b" }
amount = { column = "AMOUNT" }
currency = { column = "CURRENCY" }
event_time = { column = "AT", unit = "s" }
"""


def replay(path: Path, *, frame_rows: int = 8) -> Iterator[Case]:
    mapping = read_mapping("handbook")
    return cases(read_frames(path, mapping, frame_rows), mapping, 7 * DAY_MS)


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recorded.csv"
    path.write_text(text)
    return path


def test_handbook_rows_become_transactions_and_labels(tmp_path: Path) -> None:
    given_cases = list(replay(csv(tmp_path, HEADER + ROWS)))
    first, second, third = (case.transaction for case in given_cases)
    (first_label,), (second_label,), third_labels = (case.labels for case in given_cases)
    assert all(case.outcomes == () and case.truth is None for case in given_cases)
    assert (first.transaction_id, first.card, first.customer, first.merchant, first.terminal) == (
        "tx-0",
        "card_596",
        "cus_596",
        "mer_3156",
        "ter_3156",
    )
    assert (first.amount_minor, first.currency, first.event_time_ms) == (5716, "EUR", 1_522_540_831_000)
    assert (second.amount_minor, third.amount_minor) == (8565, 14600)
    assert (first_label.verdict, first_label.source) == ("legitimate", "assumed_legitimate")
    assert first_label.reported_at_ms == first.event_time_ms + 7 * DAY_MS
    assert (second_label.verdict, second_label.source, second_label.fraud_type) == ("fraud", "chargeback", None)
    assert third_labels == ()


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    path = csv(tmp_path, HEADER + ROWS.replace(",,0", ",0,0"))
    frame = pd.read_csv(path, parse_dates=["TX_DATETIME"])
    frame.to_parquet(tmp_path / "recorded.parquet")
    assert list(replay(tmp_path / "recorded.parquet")) == list(replay(path))


@given(st.integers(1, 5))
def test_the_size_of_a_frame_changes_nothing(frame_rows: int) -> None:
    text = ROWS.replace("\n", "|").strip("|").split("|")
    frame = pd.DataFrame([line.split(",") for line in text], columns=HEADER.strip().split(","))
    mapping = read_mapping("handbook")
    frames = [frame.iloc[start : start + frame_rows] for start in range(0, len(frame), frame_rows)]
    assert list(cases(frames, mapping, 5)) == list(cases([frame], mapping, 5))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("3,2018-04-01 00:02:09,2,1365,146.0,0,0\n", "row 4: is older than the row before it"),
        ("3,2018-04-01 25:02:10,2,1365,146.0,0,0\n", "row 4: event_time: is not a time"),
        ("3,2018-04-01 00:02:10,2,1365,1.005,0,0\n", "row 4: amount: "),
        ("3,2018-04-01 00:02:10,2,1365,,0,0\n", "row 4: amount: "),
        ("3,2018-04-01 00:02:10,2,1365,inf,0,0\n", "row 4: amount: "),
        ("3,2018-04-01 00:02:10,2,1365,-1,0,0\n", "row 4: amount_minor: "),
        ("3,2018-04-01 00:02:10,,1365,1,0,0\n", "row 4: card: "),
        ("3,2018-04-01 00:02:10,4111111111111111,1365,1,0,0\n", "row 4: card: .* could be a card number"),
        ("3,2018-04-01 00:02:10,2,1365,1,maybe,0\n", "row 4: fraud: "),
        ("3,2018-04-01 00:02:10\n", "row 4: "),
        ("3,2018-04-01 00:02:10,2,1365,1,0,0,9,9\n", "row 4: has 9 values, the header has 7"),
    ],
)
@pytest.mark.parametrize("frame_rows", [1, 3, 8])
def test_the_first_bad_row_is_named_and_the_rows_before_it_are_given(
    tmp_path: Path, bad: str, says: str, frame_rows: int
) -> None:
    given_cases: list[Case] = []
    recorded = replay(csv(tmp_path, HEADER + ROWS + bad + "junk,,,,,,\n"), frame_rows=frame_rows)
    with pytest.raises(RecordingError, match=says) as refused:
        given_cases.extend(recorded)
    assert "\n" not in str(refused.value)
    assert len(given_cases) == 3


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"no column TX_AMOUNT \(for amount\); it has TRANSACTION_ID"):
        replay(csv(tmp_path, HEADER.replace("TX_AMOUNT", "AMOUNT")))
    with pytest.raises(RecordingError, match="No such file"):
        replay(tmp_path / "nowhere.csv")
    (tmp_path / "not.parquet").write_text("plain")
    with pytest.raises(RecordingError, match=r"not\.parquet"):
        replay(tmp_path / "not.parquet")
    with pytest.raises(RecordingError, match=r"recorded\.csv"):
        replay(csv(tmp_path, ""))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("card = ", "not TOML"),
        ("crad = { const = 'card_a' }", "crad is not a field"),
        ("card = { column = 'C', const = 'card_a' }", "give one of column and const"),
        ("card = 'C'", "card: "),
        ("card = { column = 'C', unit = 'ms' }", "card: has unit none, not ms"),
        ("card = { column = 'C' }", "transaction_id, merchant, amount, currency, event_time must be mapped"),
    ],
)
def test_a_wrong_mapping_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(MappingError, match=says) as refused:
        parse_mapping(text)
    assert "\n" not in str(refused.value)


def test_a_mapping_can_translate_and_each_row_has_its_currency() -> None:
    mapping = parse_mapping(
        MINIMAL
        + 'channel = { column = "CH", means = { P = "pos" } }\nutc_offset_minutes = { column = "OFF" }\n'
        + 'fraud = { column = "F" }\nfraud_type = { const = "card_not_present" }'
    )
    frame = pd.DataFrame(
        {
            "ID": ["a", "b", "c"],
            "AMOUNT": ["10", "1.234", "5.5"],
            "CURRENCY": ["JPY", "KWD", "EUR"],
            "AT": ["1522540800", "1522540800.25", "1522540801"],
            "CH": ["P", "", "P"],
            "OFF": ["60", "", "-300"],
            "F": ["true", "0", "1.0"],
        }
    )
    given_cases = list(cases([frame], mapping, 0))
    paid = [case.transaction for case in given_cases]
    assert [each.amount_minor for each in paid] == [10, 1234, 550]
    assert [each.event_time_ms - 1_522_540_800_000 for each in paid] == [0, 250, 1000]
    assert [(each.channel, each.utc_offset_minutes) for each in paid] == [
        ("pos", 60),
        ("unknown", None),
        ("pos", -300),
    ]
    fraud_types = [[label.fraud_type for label in case.labels] for case in given_cases]
    assert fraud_types == [["card_not_present"], [None], ["card_not_present"]]
    with pytest.raises(RecordingError, match="row 1: channel: "):
        list(cases([frame.assign(CH="X")], mapping, 0))
    with pytest.raises(RecordingError, match="row 1: amount: "):
        list(cases([frame.assign(CURRENCY="XAU")], mapping, 0))


@given(st.integers(0, 10**13), st.integers(0, 4))
def test_minor_units_are_exact_for_text_and_for_the_nearest_float(minor: int, decimals: int) -> None:
    text = str(Decimal(minor).scaleb(-decimals))
    assert minor_units(text, decimals) == minor
    assert minor_units(float(text), decimals) == minor


@given(st.decimals(0, 10**9, places=3), st.integers(0, 2))
def test_decimals_are_never_rounded_away(amount: Decimal, decimals: int) -> None:
    scaled = amount * 10**decimals
    if scaled == int(scaled):
        assert minor_units(amount, decimals) == scaled
    else:
        with pytest.raises(ValueError, match="more decimals"):
            minor_units(amount, decimals)
