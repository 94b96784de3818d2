"""What lies among the files of one's own is looked at before DVC is: it would wait at a pipe for ever."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.flows.test_cli import headrace


@pytest.fixture
def own(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one's own files of a project that knows nothing of ours."""
    project.write(
        "dvc.yaml", "stages: {see: {cmd: ls data/own/films > out.txt, deps: [data/own/films], outs: [out.txt]}}"
    )
    project.write("data/own/films/deep/film.mp4", "a film")
    (project.root / "data/own/films/link.mp4").symlink_to("deep/film.mp4")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    return project.root / "data/own/films"


def plug(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (os.mkfifo, "pipe is a pipe, a socket or a device"),
    ".plug": (plug, ".plug is a pipe, a socket or a device"),
    "gone": (lambda path: path.symlink_to("nowhere"), "gone is a link to nothing"),
    "loop": (lambda path: path.symlink_to("loop"), "loop is a link to nothing"),
    os.fsdecode(b"\xff.mp4"): (Path.touch, "\\xff.mp4 has a name that is not UTF-8"),
    os.fsdecode(b"\xfe"): (Path.mkdir, "\\xfe has a name that is not UTF-8"),
}


@pytest.mark.parametrize("name", ODD, ids=ascii)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_dvc_cannot_hash_is_named_with_the_remedy_before_dvc_looks(own: Path, name: str, command: str) -> None:
    make, told = ODD[name]
    make(own / "deep" / name)
    code, said = headrace(command, "--repo", str(own))
    assert code == 1
    assert f"data/own/films/deep/{told}: DVC cannot hash that, so rename it or take it out of there" in said
    assert len(said.splitlines()) == 1
    (own.parents[2] / ".dvcignore").write_text(f"{os.fsdecode(os.fsencode(name))}\n" if name.isascii() else "deep\n")
    code, said = headrace("plan", "--repo", str(own))
    assert (code, "never run" in said) == (0, True)


def test_what_no_selected_stage_reads_is_not_looked_at(own: Path) -> None:
    os.mkfifo(own.parent / "pipe")
    assert headrace("plan", "--repo", str(own))[0] == 0


def test_a_link_to_a_folder_is_named_because_dvc_does_not_follow_it(own: Path) -> None:
    (own.parents[2] / "films").mkdir()
    (own / "more").symlink_to(own.parents[2] / "films")
    code, said = headrace("plan", "--repo", str(own))
    assert code == 0
    assert f"{own / 'more'}: left out, as DVC does not follow a link to a folder" in said
