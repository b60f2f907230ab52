"""The page for a README, from results made up by hand."""

from __future__ import annotations

from landsat_fill.evaluation.report import as_markdown, write_markdown
from landsat_fill.evaluation.results import ALL_BANDS, Results, record_table

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


def results(*, groups: tuple[str, ...] = ()) -> Results:
    group_of = dict(zip("ab", groups, strict=True)) if groups else {"a": "", "b": ""}
    records = []
    for place, group in group_of.items():
        for pattern in ("4 px", "8 px"):
            records += made("ref", place, pattern, 10.0, group=group)
            rmse = 8.0 if place == "a" else 11.0
            records += made("new", place, pattern, rmse, group=group, coverage_90=0.875)
    return Results(("ref", "new"), record_table(records, "ref"), groups=groups, devices=("cpu", "cuda:0"))


def test_a_row_a_method_and_a_column_a_pattern():
    rows = table(as_markdown(results(), COMMAND))
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
    page = as_markdown(results(), COMMAND)
    assert f"```sh\n{COMMAND}\n```" in page
    for word in ("`ref`", "hidden pixels", "2 places", "stripe index:", "cpu, cuda:0"):
        assert word in page
    assert "groups" not in page


def test_groups_have_a_table_of_their_own():
    rows = table(as_markdown(results(groups=("known", "new places")), COMMAND), 1)
    assert rows["`new`"]["known"] == "0.800"
    assert rows["`new`"]["new places"] == "1.10"
    assert rows["`new`"]["new places / known"] == "1.38"
    assert rows["`ref`"]["new places / known"] == "1.00"


def test_it_is_written_whole(tmp_path):
    write_markdown(results(), tmp_path / "scores.md", COMMAND)
    assert (tmp_path / "scores.md").read_text(encoding="utf-8") == as_markdown(results(), COMMAND)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.md"]
