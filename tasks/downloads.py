"""Sources fetched for a stage: it is told how far a download is, and a kept file that is damaged is fetched again."""

from pathlib import Path

from tasks import sources
from tasks.content import HashMemory, content_hash
from tasks.sources import PackageSource, UrlSource
from tasks.stage import Stage


def fetched_for(stage: Stage, source: PackageSource | UrlSource, memory: HashMemory) -> Path:
    """Return the file of `source`, whose bytes its sha256 promises. Raises SourceError as `sources.fetch` does."""
    downloads, progress = sources.downloads_folder(stage.root), _progress(stage, source.name)
    file = sources.fetch(source, downloads, progress)
    if content_hash(file, memory) != source.sha256:
        stage.log.warning("%s: the kept download is damaged and is fetched again", source.name)
        file.unlink()
        file = sources.fetch(source, downloads, progress)
    return file


def _progress(stage: Stage, name: str) -> sources.Progress:
    """Return what tells of a download: a line at each tenth."""
    said = -1

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // total if total else 0
        if tenth > said:
            said = tenth
            of = f" of {total / 1e6:.1f} MB" if total else ""
            stage.log.info("%s: %s: %.1f%s", stage.info.address, name, done / 1e6, of)

    return progress
