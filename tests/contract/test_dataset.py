"""The training frame, on the engine itself: as it was known at a time, the same each time, and of no person's data."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from consumers import handing_over
from consumers.__main__ import _parser
from consumers.clickhouse_to_parquet import NothingToExportError, PersonalDataError, export
from consumers.dataset import CENSORED, Asked
from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import Warehouse, open_warehouse
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.settings import Settings
from tests.contract.frame_oracle import MATURITY_MS, Told, expected, history, predictions_of, refusal_of, store
from tests.contract.warehouse_rows import AT_MS, SINK, insert, label, prediction

DAYS = 120
AS_OF_MS = AT_MS + 60 * DAY_MS
ASKED = Asked(AT_MS, AT_MS + DAYS * DAY_MS, AS_OF_MS, MATURITY_MS, 3)
PLANTED = {
    "a card number": "4111 1111 1111 1111",
    "an e-mail address": "ada@example.org",
    "a phone number": "+4930123456",
}


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Warehouse, list[Told], set[int], dict[str, bytes]]]:
    """A store, what is in it, and the files of a frame that was made before anything later had come."""
    warehouse = open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("dataset")))
    migrate(warehouse)
    told = history(7)
    letters = [each for each in told if each.table == "labels"][::6]
    store(warehouse, [each for each in told if each.at_ms <= AS_OF_MS])
    insert(warehouse, "dead_letters", *(refusal_of(each) for each in letters if each.at_ms <= AS_OF_MS))
    _, folder = export(warehouse, ASKED, tmp_path_factory.mktemp("before"))
    before = files_of(folder)
    store(warehouse, [each for each in told if each.at_ms > AS_OF_MS])
    insert(warehouse, "dead_letters", *(refusal_of(each) for each in letters if each.at_ms > AS_OF_MS))
    yield warehouse, told, {each.offset for each in letters}, before
    warehouse.close()


Kept = tuple[Warehouse, list[Told], set[int], dict[str, bytes]]


def files_of(folder: Path) -> dict[str, bytes]:
    return {f"{folder.name}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_came_later_changes_no_byte(kept: Kept, tmp_path: Path) -> None:
    """Law: a frame as of a time is the same when twice as much was stored since, and the same again."""
    warehouse, told, _, before = kept
    assert sum(each.at_ms > AS_OF_MS for each in told) > 60
    assert sum(isinstance(each.message, Label) and each.at_ms > AS_OF_MS for each in told) > 20
    for _ in range(2):
        _, folder = export(warehouse, ASKED, tmp_path)
        assert files_of(folder) == before
    card, other = export(warehouse, ASKED._replace(as_of_ms=AS_OF_MS + 1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, other.name])
    assert card["id"] == other.name != folder.name


@pytest.mark.parametrize("day", [3, 20, 45, 60, 90, 400])
def test_a_label_is_what_was_known_of_its_payment_then(kept: Kept, tmp_path: Path, day: int) -> None:
    """Law: at any time payments, labels, weights and reasons are those of a plain reading of the records."""
    warehouse, told, refused, _ = kept
    as_of_ms = AT_MS + day * DAY_MS
    card, folder = export(warehouse, ASKED._replace(as_of_ms=as_of_ms), tmp_path)
    frame = pq.read_table(folder / "frame.parquet").to_pylist()
    names = ("label", "label_source", "weight", "censored")
    assert {row["transaction_id"]: tuple(row[name] for name in names) for row in frame} == expected(
        told, refused, as_of_ms
    )
    assert len(frame) == card["rows"] == len({row["transaction_id"] for row in frame})
    assert all(row["decided_at"].timestamp() * 1_000 <= as_of_ms for row in frame)
    assert all(row["label_reported_at"].timestamp() * 1_000 <= as_of_ms for row in frame if row["label_reported_at"])
    if day == 400:
        view = "SELECT transaction_id, verdict FROM v_labelled"
        counted = dict(zip(*warehouse.query_columns(view).values(), strict=True))
        assert {row["transaction_id"]: row["verdict"] for row in frame if row["verdict"]} == counted
        assert {row["censored"] for row in frame} == set(CENSORED) - {"immature"}


def test_features_are_those_stored_and_what_was_absent_is_null(kept: Kept, tmp_path: Path) -> None:
    """Law: each feature is the number that was stored when the payment was decided, and no other is made up."""
    warehouse, told, _, _ = kept
    _, folder = export(warehouse, ASKED, tmp_path)
    made = {each.transaction.transaction_id: each for each in predictions_of(told)}
    for row in pq.read_table(folder / "frame.parquet").to_pylist():
        stored = made[row["transaction_id"]].features
        assert {name: row[name] for name in ("card_count_1h", "merchant_pace")} == {
            name: stored[name] for name in ("card_count_1h", "merchant_pace")
        }
        assert row["card_amount_rank"] == stored.get("card_amount_rank")


def test_the_card_tells_what_the_frame_is(kept: Kept, tmp_path: Path) -> None:
    """Law: the card's figures are those of the frame, its columns the frame's, its positions the store's."""
    warehouse, told, _, _ = kept
    card, folder = export(warehouse, ASKED, tmp_path)
    assert json.loads((folder / "card.json").read_text()) == card
    frame = pq.read_table(folder / "frame.parquet")
    labels = [value for value in frame["label"].to_pylist() if value is not None]
    assert (card["labels"]["fraud"], card["labels"]["legitimate"]) == (sum(labels), len(labels) - sum(labels))
    assert sum(each["rows"] for each in card["censored"].values()) == frame["label"].null_count
    assert [each["name"] for each in card["columns"]] == frame.column_names
    assert all(each["meaning"] and each["role"] for each in card["columns"])
    newest = max(each.offset for each in told if each.table == "labels" and each.at_ms <= AS_OF_MS)
    assert card["positions"]["payments.labels.v1"] == {"2": newest + 1}
    page = (folder / "card.md").read_text()
    assert card["id"] in page
    assert all(f"| {name} |" in page for name in frame.column_names)


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("column", ["merchant", "reason_code"])
def test_personal_data_is_not_handed_over(kept: Kept, tmp_path: Path, kind: str, column: str) -> None:
    """Law: text that could be of a person stops the export; the line names column and row and not the text."""
    warehouse = kept[0]
    place = 1_000 + list(PLANTED).index(kind) * 10 + ("merchant", "reason_code").index(column)
    at_ms = AT_MS + place * DAY_MS
    name = f"tx-{place}"
    rows = {
        "predictions": Told("predictions", prediction(name, event_time_ms=at_ms), at_ms, place).row(),
        "labels": Told(
            "labels", label(transaction_id=name, occurred_at_ms=at_ms, reported_at_ms=at_ms), at_ms, place
        ).row(),
    }
    for table, row in rows.items():
        names = SINK[table].columns
        planted = tuple(
            PLANTED[kind]
            if (table, each) in {("predictions", column), ("labels", column)} and each == column
            else value
            for each, value in zip(names, row, strict=True)
        )
        insert(warehouse, table, planted if table == {"merchant": "predictions"}.get(column, "labels") else row)
    asked = Asked(at_ms, at_ms + 1, at_ms, MATURITY_MS, 3)
    with pytest.raises(PersonalDataError) as told:
        export(warehouse, asked, tmp_path / "out" / "deep")
    shown = {"reason_code": "label_reason_code"}.get(column, column)
    assert str(told.value).startswith(
        f"column {shown} holds what could be {kind}, in row fraud.predictions.v1:2:{place}"
    )
    assert PLANTED[kind] not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_of_an_empty_range_or_of_the_future(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = kept[0]
    with pytest.raises(NothingToExportError):
        export(warehouse, ASKED._replace(as_of_ms=AT_MS - DAY_MS), tmp_path / "out")
    for given, why in (
        (["--from", "2018-04-01", "--to", "2018-04-01", "--as-of", "2018-05-01"], "before"),
        (["--from", "2018-04-01", "--to", "2018-05-01", "--as-of", "2099-01-01"], "lies ahead"),
    ):
        flags = _parser().parse_args(["export", *given, "--out", str(tmp_path / "out")])
        assert handing_over.ON_STORE["export"](Settings(), warehouse, flags) == 2
        assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_commands_tell_what_they_did(kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: `export` prints the card; `features` the newest features of a key at a time, and none from behind it."""
    warehouse, told, _, _ = kept

    def run(*given: str) -> int:
        flags = _parser().parse_args(given)
        return handing_over.ON_STORE[flags.command](Settings(silence_matures_days=30), warehouse, flags)

    span = ("--from", "2018-04-01", "--to", "2018-07-01", "--as-of", "2018-07-01T00:00:00Z", "--json")
    assert run("export", *span, "--out", str(tmp_path)) == 0
    assert json.loads(capsys.readouterr().out)["id"] == next(tmp_path.iterdir()).name
    as_of_ms = AT_MS + 50 * DAY_MS
    paid = predictions_of([each for each in told if each.at_ms <= as_of_ms])
    newest = max(paid, key=lambda made: made.transaction.event_time_ms)
    assert run("features", "--card", "card_a", "--as-of", "2018-05-21", "--json") == 0
    told_now = json.loads(capsys.readouterr().out)
    assert told_now["transaction_id"] == newest.transaction.transaction_id
    assert told_now["features"]["card_count_1h"] == newest.features["card_count_1h"]
    assert run("features", "--merchant", "mer_b", "--as-of", "2018-05-21") == 0
    assert "merchant_pace 0.5 times: Payments of the merchant" in capsys.readouterr().out
    assert run("features", "--card", "card_a", "--as-of", "2018-03-31") == 1
