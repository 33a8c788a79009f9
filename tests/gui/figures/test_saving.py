from __future__ import annotations

import resource
from types import SimpleNamespace

from heliograph.core.errors import StorageError
from heliograph.gui.figures.saving import _write


def test_what_does_not_fit_on_the_disk_leaves_the_file_that_was_there(tmp_path):
    path, notices = tmp_path / "report.md", []
    path.write_text("before")
    desk = SimpleNamespace(notice=notices.append)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        _write(desk, path, "x" * 1000)  # type: ignore[arg-type]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert isinstance(notices[0], StorageError)
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == ("before", ["report.md"])
    _write(desk, path, "after")  # type: ignore[arg-type]
    assert path.read_text() == "after"
