"""Tables of results, and what is written of them."""

from __future__ import annotations

import csv
import json
import math

import pytest

from landsat_fill.errors import OutputError
from landsat_fill.evaluation.metrics import SCORES
from landsat_fill.evaluation.results import (
    ALL_BANDS,
    ALL_PATTERNS,
    Failure,
    Results,
    as_json,
    as_markdown,
    record_table,
    summarise,
    write_csv,
    write_json,
    write_markdown,
)


def record(
    method: str,
    rmse: float,
    *,
    pattern: str = "4 px",
    band: str = "red",
    scene: str = "a",
    group: str = "",
    **more: float,
) -> dict[str, object]:
    key = {"scene": scene, "place": scene.partition("@")[0], "group": group, "pattern": pattern, "seed": 0}
    key |= {"method": method, "band": band, "hidden_pct": 12.5, "scale": 0.5}
    return key | {"hidden": 10, "range": 50.0, "rmse": rmse, "mae": rmse / 2} | more


def results_of(*records: dict[str, object], failures: tuple[Failure, ...] = ()) -> Results:
    return Results(("ref", "new"), record_table(records, "ref"), failures)


def results(*, failures: tuple[Failure, ...] = ()) -> Results:
    records = (
        record("ref", 4.0, r2=0.5),
        record("ref", 8.0, r2=0.7, band="nir"),
        record("ref", 6.0, r2=0.6, band=ALL_BANDS, seconds=2.0),
        record("new", 2.0, r2=0.9, psnr_db=math.inf),
        record("new", 8.0, r2=0.7, band="nir", psnr_db=math.inf),
        record("new", 5.0, r2=0.8, band=ALL_BANDS, seconds=1.0),
        record("ref", 1.0, pattern="8 px"),
        record("new", 3.0, pattern="8 px"),
    )
    return results_of(*records, failures=failures)


def test_ratios_are_means_over_bands_of_the_same_pixels():
    found = {(s.pattern, s.method): s for s in summarise(results()).itertuples()}
    assert found["4 px", "new"].rmse_ratio == pytest.approx((2 / 4 + 8 / 8) / 2)
    assert found["8 px", "new"].rmse_ratio == pytest.approx(3)
    assert found[ALL_PATTERNS, "new"].rmse_ratio == pytest.approx((0.5 + 1 + 3) / 3)
    assert all(s.rmse_ratio == s.mae_ratio == 1 for s in summarise(results()).itertuples() if s.method == "ref")


def test_bands_are_averaged_once_and_seconds_come_from_all_together():
    found = {(s.pattern, s.method): s for s in summarise(results()).itertuples()}
    assert found["4 px", "new"].r2 == pytest.approx(0.8)
    assert found["4 px", "ref"].rmse_pct == pytest.approx(100 * 6 / 50)
    assert found["4 px", "new"].seconds == 1
    assert found["4 px", "new"].trials == 1
    assert math.isnan(found["4 px", "new"].crps_pct)


def test_the_best_comes_first():
    order = [(s.pattern, s.method) for s in summarise(results()).itertuples()]
    assert order[:4] == [("4 px", "new"), ("4 px", "ref"), ("8 px", "ref"), ("8 px", "new")]


def test_one_pattern_needs_no_summary_of_all():
    one = Results(("ref",), record_table([record("ref", 1.0)], "ref"))
    assert [s.pattern for s in summarise(one).itertuples()] == ["4 px"]


def test_the_worst_place_is_that_of_the_highest_mean():
    found = results_of(
        *(record("ref", 10.0, scene=scene) for scene in ("a", "b@0,0", "b@0,9", "c")),
        record("new", 9.0, scene="a"),
        # One window of b is worse than all of c; its mean isn't.
        record("new", 12.0, scene="b@0,0"),
        record("new", 8.0, scene="b@0,9"),
        record("new", 11.0, scene="c"),
    )
    (new,) = (s for s in summarise(found).itertuples() if s.method == "new")
    assert (new.worst_place, new.worst_rmse_ratio) == ("c", pytest.approx(1.1))
    assert new.rmse_ratio == pytest.approx(1.0)


def test_a_place_that_is_bad_under_one_pattern_only_is_not_bad_on_the_whole():
    found = results_of(
        *(record("ref", 10.0, pattern=pattern) for pattern in ("4 px", "8 px")),
        record("new", 12.0, pattern="4 px"),
        record("new", 6.0, pattern="8 px"),
    )
    worst = {s.pattern: s.worst_rmse_ratio for s in summarise(found).itertuples() if s.method == "new"}
    assert worst == {"4 px": pytest.approx(1.2), "8 px": pytest.approx(0.6), "all": pytest.approx(0.9)}


def test_without_a_reference_there_is_no_ratio():
    alone = results_of(record("new", 1.0), record("new", 2.0, scene="b"))
    (new, _) = sorted(summarise(alone).itertuples(), key=lambda s: s.method)
    assert math.isnan(new.rmse_ratio)
    assert as_json(alone)["records"][0]["rmse_ratio"] is None


def test_a_perfect_reference_gives_no_ratio():
    found = results_of(record("ref", 0.0), record("new", 1.0))
    assert as_json(found)["records"][1]["rmse_ratio"] is None


def test_failures_are_counted():
    failure = Failure("b", "4 px", 0, "new", ValueError("no"))
    found = {(s.pattern, s.method): s for s in summarise(results(failures=(failure,))).itertuples()}
    assert found["4 px", "new"].failures == 1
    assert found["8 px", "new"].failures == 0
    assert found[ALL_PATTERNS, "new"].failures == 1
    assert found["4 px", "ref"].failures == 0


def test_rows_hold_stored_and_scaled_numbers():
    row = as_json(results())["records"][3]
    assert (row["scene"], row["pattern"], row["method"], row["band"]) == ("a", "4 px", "new", "red")
    assert (row["place"], row["group"]) == ("a", "")
    assert (row["rmse"], row["rmse_scaled"], row["rmse_ratio"]) == (2.0, 1.0, 0.5)
    assert row["crps"] is None
    assert set(SCORES) < set(row)


def test_csv_reads_back(tmp_path):
    path = tmp_path / "deep" / "records.csv"
    rows = results().records
    write_csv(rows, path)
    with path.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(rows)
    assert list(read[0]) == list(rows)
    assert float(read[3]["rmse"]) == 2.0
    assert read[3]["crps"] == ""
    write_csv(summarise(results()), path)
    assert path.read_text(encoding="utf-8").startswith("pattern,method,")
    assert [p.name for p in path.parent.iterdir()] == ["records.csv"]


def test_json_is_strict_and_whole(tmp_path):
    path = tmp_path / "results.json"
    write_json(results(failures=(Failure("b", "", None, "", OutputError("no room")),)), path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert read == json.loads(
        json.dumps(as_json(results(failures=(Failure("b", "", None, "", OutputError("no room")),))))
    )
    assert read["reference"] == "ref"
    assert len(read["records"]) == 8
    assert read["records"][3]["psnr_db"] is None
    assert read["failures"] == [
        {"scene": "b", "pattern": "", "seed": None, "method": "", "error": "OutputError: no room"}
    ]


def test_no_results_make_an_empty_table(tmp_path):
    nothing = Results(("ref",), record_table([], "ref"))
    assert summarise(nothing).empty
    write_csv(nothing.records, tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text(encoding="utf-8").count("\n") == 1


def test_a_folder_in_the_way_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        write_csv(results().records, tmp_path)


COMMAND = "landsat-fill evaluate a.tif 'b c.tif'"


def made(
    method: str, place: str, pattern: str, rmse: float, *, group: str = "", **more: float
) -> list[dict[str, object]]:
    key = {"scene": place, "place": place, "group": group, "pattern": pattern, "seed": 0, "method": method}
    key |= {"hidden_pct": 20.0, "scale": 1.0, "hidden": 10}
    scores = {"rmse": rmse, "range": 100.0, "ssim": 0.9, "stripe_index": 0.25}
    return [key | scores | more | {"band": "red"}, key | {"band": ALL_BANDS, "seconds": 1.5}]


def table(page: str, number: int = 0) -> dict[str, dict[str, str]]:
    """Return the cells of one of the page's tables by first column and heading."""
    tables = [part for part in page.split("\n\n") if part.startswith("|")]
    heading, rule, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in tables[number].splitlines())
    assert len(rule) == len(heading)
    assert all(len(row) == len(heading) for row in rows)
    return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


def page_results(*, groups: tuple[str, ...] = ()) -> Results:
    group_of = dict(zip("ab", groups, strict=True)) if groups else {"a": "", "b": ""}
    records = []
    for place, group in group_of.items():
        for pattern in ("4 px", "8 px"):
            records += made("ref", place, pattern, 10.0, group=group)
            rmse = 8.0 if place == "a" else 11.0
            records += made("new", place, pattern, rmse, group=group, coverage_90=0.875)
    return Results(("ref", "new"), record_table(records, "ref"), groups=groups, devices=("cpu", "cuda:0"))


def test_a_row_a_method_and_a_column_a_pattern():
    rows = table(as_markdown(page_results(), COMMAND))
    assert list(rows) == ["`new`", "`ref`"]
    assert rows["`new`"] == {
        "method": "`new`",
        "4 px": "0.950",
        "8 px": "0.950",
        "all": "**0.950**",
        "worst place": "1.10 (b)",
        "SSIM": "0.900",
        "stripe index": "0.250",
        "cover 90": "0.875",
        "s": "1.50",
    }
    assert rows["`ref`"]["cover 90"] == "–"


def test_the_page_quotes_its_command_and_explains_itself():
    page = as_markdown(page_results(), COMMAND)
    assert f"```sh\n{COMMAND}\n```" in page
    for word in ("`ref`", "hidden pixels", "2 places", "stripe index:", "cpu, cuda:0"):
        assert word in page
    assert "groups" not in page


def test_groups_have_a_table_of_their_own():
    rows = table(as_markdown(page_results(groups=("known", "new places")), COMMAND), 1)
    assert rows["`new`"]["known"] == "0.800"
    assert rows["`new`"]["new places"] == "1.10"
    assert rows["`new`"]["new places / known"] == "1.38"
    assert rows["`ref`"]["new places / known"] == "1.00"


def test_it_is_written_whole(tmp_path):
    write_markdown(page_results(), tmp_path / "scores.md", COMMAND)
    assert (tmp_path / "scores.md").read_text(encoding="utf-8") == as_markdown(page_results(), COMMAND)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.md"]
