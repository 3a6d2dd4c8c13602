"""What analysts find: the catalogue, the SQL book, Grafana's dashboards and their rights, each over a filled store."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers import handing_over
from consumers.__main__ import _parser
from consumers.catalogue import columns_of, feature_entries, lines, shipped_catalogue
from consumers.migrations_to_clickhouse import Migration, migrate
from consumers.warehouse import Warehouse, WarehouseError, open_warehouse
from deploy.catalogue.__main__ import SCHEMAS, written
from deploy.catalogue.classes import CLASSES
from deploy.catalogue.collect import catalogue
from deploy.grafana.__main__ import DASHBOARDS
from deploy.grafana.boards import BOARDS
from schemas.settings import Settings
from schemas.topics import TOPICS
from streams.detector.features import FEATURES
from streams.documents import shipped_policy
from tests.browser import seeded
from tests.contract.warehouse_rows import ROWS, insert
from tests.grafana_macros import expanded
from tests.house.tree import ROOT

END_MS = 1_522_540_800_000 + 3_600_000
BOOK = ROOT / "consumers" / "sql_book"
PAGES = sorted(BOOK.glob("*.sql"))
ASKED = {
    "from": "2018-03-30",
    "to": "2018-05-01",
    "middle": "2018-04-01 00:56:00",
    "number": "5",
    "card": "card_a",
}
PANELS = [(name, panel) for name, panels in BOARDS.items() for panel in panels]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    warehouse = open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("filled")))
    migrate(warehouse)
    seeded.store(warehouse, seeded.payments(3_000, END_MS), times=2)
    seeded.store_models(warehouse, END_MS)
    for table in ("predictions", "labels", "dead_letters", "training", "audit", "alerts", "outcomes"):
        insert(warehouse, table, *ROWS[table])
    yield warehouse
    warehouse.close()


def test_the_shipped_catalogue_is_made_from_the_contracts(filled: Warehouse) -> None:
    """Law: both files are what `python -m deploy.catalogue` writes now."""
    for name, text in written(catalogue(filled, shipped_policy())).items():
        assert (SCHEMAS / name).read_text(encoding="utf-8") == text, "run python -m deploy.catalogue"


def test_every_entry_is_told_whole() -> None:
    """Law: each topic, field, feature, table and column has a meaning and a known class; nothing is left out."""
    found = shipped_catalogue()
    fields = [field for topic in found["topics"] for field in topic["fields"]]
    columns = [column for table in found["tables"] for column in table["columns"]]
    entries = [*found["topics"], *fields, *found["features"], *found["tables"], *columns]
    assert [entry["name"] for entry in entries if not entry["meaning"]] == []
    assert {entry["personal"] for entry in (*fields, *columns, *found["features"])} == set(CLASSES)
    assert [each["name"] for each in found["topics"]] == [topic.name for topic in TOPICS]
    assert list(feature_entries()) == [feature.name for feature in FEATURES]
    assert all(each["unit"] and each["owner"] and each["source"] for each in found["features"])
    assert all(table["source"] for table in found["tables"])


@pytest.mark.parametrize("name", ["card", "customer", "device", "ip", "email"])
def test_a_token_of_a_person_is_personal_wherever_it_stands(name: str) -> None:
    """Law: what stands for a person is called a pseudonym in every topic and table that has it."""
    found = shipped_catalogue()
    holders = [*(topic["fields"] for topic in found["topics"]), *(table["columns"] for table in found["tables"])]
    assert {each["personal"] for entries in holders for each in entries if each["name"] == name} == {"pseudonym"}


def test_an_entry_is_found_by_its_name_or_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert columns_of("predictions")["event_time"]["unit"] == "UTC"
    assert any(line.startswith("payments.labels.v1 verdict:") for line in lines("verdict"))
    assert handing_over.print_catalogue(_parser().parse_args(["catalogue", "no such word"])) == 1
    assert handing_over.print_catalogue(_parser().parse_args(["catalogue", "--json"])) == 0
    assert json.loads(capsys.readouterr().out) == shipped_catalogue()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_of_the_book_answers_its_question(
    filled: Warehouse, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: it says its question, how to read the answer and its parameters, and answers over a filled store."""
    text = path.read_text(encoding="utf-8")
    assert re.match(r"-- .+\n--\n-- Question: .+\?\n-- Read: .+\n(-- .+\n)*-- Parameters: ", text)
    wanted = set(re.findall(r"\{(\w+):", text))
    told = re.search(r"-- Parameters: (.+)", text)
    assert told is not None
    assert all(re.search(rf"\b{name}\b", told[1]) for name in wanted)
    given = [f"--param={name}={ASKED[name]}" for name in sorted(wanted)]
    flags = _parser().parse_args(["query", "--file", str(path), "--json", *given])
    assert handing_over.ON_STORE["query"](Settings(), filled, flags) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert all(any(row[name] not in (None, "", []) for row in rows) for name in rows[0])


def test_the_book_has_an_index_of_its_pages() -> None:
    """Law: each page is in the index under its title and question, and no other is."""
    index = (BOOK / "README.md").read_text(encoding="utf-8")
    assert len(PAGES) == 20
    assert re.findall(r"\]\((\w+\.sql)\)", index) == [path.name for path in PAGES]
    for path in PAGES:
        title, _, question = path.read_text(encoding="utf-8").splitlines()[:3]
        assert f"| [{title[3:]}]({path.name}) | {question.removeprefix('-- Question: ')} |" in index


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=lambda each: each if isinstance(each, str) else each.title)
def test_a_panel_asks_what_the_store_can_answer(filled: Warehouse, name: str, panel: Any) -> None:
    """Law: with the data source's macros written out a panel's query gives rows; over time its first column is time."""
    target = next(each for each in shipped(name)["panels"] if each["title"] == panel.title)["targets"][0]
    assert target["rawSql"] == panel.sql.strip()
    read = filled.query_columns(expanded(target["rawSql"], END_MS - 2 * 86_400_000, END_MS + 60 * 86_400_000, 60))
    rows = len(next(iter(read.values())))
    assert rows
    if panel.kind == "timeseries":
        assert next(iter(read)) == "time"
        assert read["time"] == sorted(read["time"])
    if panel.kind == "stat":
        assert rows == 1


def shipped(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_keeps_the_rules_of_dashboards(name: str) -> None:
    """Law: ids are unique, panels lie on the grid and not on one another, and the data source is a variable."""
    board = shipped(name)
    panels = board["panels"]
    assert board["uid"] == f"fraud-detection-{name}"
    assert board["schemaVersion"] >= 36
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    sources = [each["datasource"] for panel in panels for each in (panel, *panel["targets"])]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    assert {variable["query"]} == {source["type"] for source in sources}
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)
    assert all(panel["description"] and panel["options"] is not None for panel in panels)


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.usefixtures("grafana_sdk")
def test_a_dashboard_is_that_of_its_code(name: str) -> None:
    """Law: the committed JSON is what `python -m deploy.grafana` writes, and Grafana's own types read and write it."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - of the extra dev
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415

    from deploy.grafana.dashboard import dashboard_json  # noqa: PLC0415

    text = (DASHBOARDS / f"{name}.json").read_text(encoding="utf-8")
    assert dashboard_json(name, BOARDS[name]) == text, "run python -m deploy.grafana"
    read = Dashboard.from_json(json.loads(text))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == json.loads(text)


def test_the_analyst_has_limits_that_the_engine_knows_and_keeps(filled: Warehouse) -> None:
    """Law: each statement is one of today's ClickHouse, names what there is, and a limit refuses what exceeds it."""
    text = (ROOT / "deploy" / "clickhouse" / "analyst.sql").read_text(encoding="utf-8")
    statements = Migration("analyst.sql", text).statements
    for statement in statements:
        filled.query_columns("SELECT formatQuery({sql:String}) AS told", {"sql": statement})
    profile = next(each for each in statements if "CREATE SETTINGS PROFILE" in each)
    limits = dict(re.findall(r"^\s+(\w+) = ('?\w+'?)", profile, re.MULTILINE))
    known = filled.query_columns(
        "SELECT name FROM system.settings WHERE name IN {names:Array(String)}", {"names": list(limits)}
    )
    assert set(known["name"]) == set(limits)
    assert limits["readonly"] == "1"
    for table in ("dead_letters", "v_dead_letters"):
        assert f"REVOKE SELECT(key, value, headers) ON {table} FROM fraud_analyst" in text
        sent = {name for name, column in columns_of(table).items() if column["personal"] == "sent"}
        assert sent == {"key", "value", "headers"}
    beyond = int(limits["max_result_rows"]) + 1
    kept = ", ".join(f"{name} = {limits[name]}" for name in ("max_result_rows", "result_overflow_mode"))
    with pytest.raises(WarehouseError, match="TOO_MANY_ROWS"):
        filled.query_columns(f"SELECT number FROM numbers({beyond}) SETTINGS {kept}")  # noqa: S608 - a number
