from __future__ import annotations

import os

import pytest

from landsat_fill.networks.catalogue import prefer_large_pages

NAME = "THP_MEM_ALLOC_ENABLE"


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_large_pages_are_asked_for_unless_the_user_has_decided(monkeypatch, before, after) -> None:
    monkeypatch.setenv(NAME, "")  # so that it is put back whatever was there
    monkeypatch.delenv(NAME)
    if before is not None:
        monkeypatch.setenv(NAME, before)
    prefer_large_pages()
    assert os.environ[NAME] == after
