"""The manifest: what is written is what is read, also after somebody edited it."""

from __future__ import annotations

from pathlib import Path

import pytest

from landsat_fill.cluster.archive import ManifestLine, jobs_of, lines_of, manifest_text, read_manifest
from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import InputKind, find_inputs
from landsat_fill.pipeline.plan import plan_jobs
from landsat_fill.pipeline.request import OutputRequest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_data"


def test_jobs_come_back_as_they_were_planned(tmp_path):
    """A product stays a product, folders between are kept, and nothing depends on where a task runs."""
    found, _ = find_inputs([str(SAMPLES)])
    planned = plan_jobs(found, OutputRequest(target=tmp_path / "out"))
    (tmp_path / "manifest.tsv").write_text(manifest_text(lines_of(planned)))
    jobs, bad = jobs_of(read_manifest(tmp_path / "manifest.tsv"), stack=False)
    assert not bad
    assert [(job.target, job.is_folder, job.input.name, job.input.kind) for job in jobs] == [
        (job.target, job.is_folder, job.input.name, job.input.kind) for job in planned
    ]
    assert {job.input.kind for job in jobs} == {InputKind.PRODUCT, InputKind.RASTER}


def test_relative_paths_are_made_absolute_and_urls_are_kept(make_tif, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tif("a.tif")
    url = "https://example.org/b.tif"
    found, _ = find_inputs(["a.tif", url])
    lines = lines_of(plan_jobs(found, OutputRequest(target=Path("out"))))
    assert [line.source for line in lines] == [str(tmp_path / "a.tif"), url]
    assert [line.target for line in lines] == [tmp_path / "out" / f"{n}_filled.tif" for n in "ab"]


def test_lines_may_be_edited(tmp_path):
    path = tmp_path / "manifest.tsv"
    path.write_text("# mine\n\n a.tif \t out/a.tif\n#b.tif\tout/b.tif\nfolder\tout/one\tLE07_X\n")
    assert read_manifest(path) == [
        ManifestLine("a.tif", Path("out/a.tif")),
        ManifestLine("folder", Path("out/one"), "LE07_X"),
    ]


@pytest.mark.parametrize("row", ["a.tif", "a.tif out/a.tif", "a.tif\t", "a\tb\tc\td"])
def test_a_line_of_another_form_is_named(tmp_path, row):
    path = tmp_path / "manifest.tsv"
    path.write_text(f"# mine\n{row}\n")
    with pytest.raises(InputError, match="in line 2 of"):
        read_manifest(path)


def test_a_manifest_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path / "manifest.tsv")


def test_a_path_with_a_tab_is_refused(make_tif):
    path = make_tif("a\tb.tif")
    found, _ = find_inputs([str(path)])
    with pytest.raises(UsageError, match="without tabs"):
        lines_of(plan_jobs(found, OutputRequest()))


def test_a_source_that_is_gone_is_bad_and_the_others_are_not(make_tif, tmp_path):
    lines = [
        ManifestLine(str(make_tif("a.tif")), tmp_path / "a_filled.tif"),
        ManifestLine(str(tmp_path / "gone.tif"), tmp_path / "gone_filled.tif"),
    ]
    jobs, bad = jobs_of(lines, stack=False)
    assert [job.input.name for job in jobs] == ["a"]
    assert [line for line, _ in bad] == lines[1:]
