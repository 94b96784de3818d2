"""Which of our modules a module reaches by its imports, and a hash of their source.

Run as `python -m tests.imports` it rewrites what is written down of that: the code deps in dvc.yaml, and
tests/functions.json after a version was raised, or after a change that cannot alter results.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
_CARRIERS = ("stage", "report", "lineage", "workers", "progress", "env", "parameters", "strict")
CARRIERS = tuple(f"tasks.{name}" for name in _CARRIERS)
TABLE = Path(__file__).with_name("functions.json")


def file_of(module: str) -> Path | None:
    """Return the file of one of our modules, or None where there is none of that name."""
    path = REPOSITORY.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists():
            return file
    return None


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return the modules of tasks/ that a module imports anywhere in its source, also inside functions."""
    file = file_of(module)
    assert file is not None, module
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module or "")
    return frozenset(name for name in found if name.startswith("tasks.") and file_of(name))


def reached_from(module: str) -> set[str]:
    """Return a module and all of tasks/ that it reaches, but for those that carry results and do not make them."""
    todo, reached = [module], set()
    while todo:
        name = todo.pop()
        if name in reached or name in CARRIERS:
            continue
        reached.add(name)
        todo.extend(imports_of(name))
    return {name for name in reached if file_of(name).read_text().strip()}  # type: ignore[union-attr]


def paths(modules: set[str]) -> set[str]:
    """Return the modules' files, relative to the repository."""
    return {file.relative_to(REPOSITORY).as_posix() for file in map(file_of, modules) if file}


def source_hash(module: str) -> str:
    """Return a hash of the code that a module reaches; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for name in sorted(reached_from(module)):
        tree = ast.parse(file_of(name).read_text())  # type: ignore[union-attr]
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body[0] = ast.Pass()
        digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def describe(function: Any) -> dict[str, Any]:
    """Return what the committed table keeps of a stored function."""
    return {
        "version": function.version,
        "module": function.module,
        "source": source_hash(function.module),
        "libraries": {name: importlib.metadata.version(name) for name in function.libraries},
    }


def all_functions() -> dict[str, Any]:
    """Return the functions whose results are kept, in the store or in git, by name."""
    from tasks import llm_answers
    from tasks.content import HashMemory
    from tasks.keys import StoredFunction
    from tasks.physics import evaluate_surrogate, records, simulation_job, train_surrogate
    from tasks.text import (
        evaluate_factuality,
        extract_claims,
        language_model,
        parses,
        passages,
        train_retriever,
        train_verifier,
        write_texts,
    )
    from tasks.video import (
        clip_colours,
        coherence,
        cutting,
        evaluate_videoqa,
        fingerprints,
        glimpses,
        rendering,
        scan,
        scene_files,
        shots,
        takes,
        train_videoqa,
    )

    content = StoredFunction(HashMemory.FUNCTION, HashMemory.VERSION, "tasks.content", libraries=())
    return {
        function.name: function
        for function in [
            content,
            *scan.stored_functions(),
            shots.STORED,
            fingerprints.STORED,
            *takes.stored_functions(),
            cutting.COPY,
            cutting.ENCODE,
            scene_files.STORED,
            clip_colours.STORED,
            coherence.STORED,
            rendering.RENDER,
            glimpses.GLIMPSES,
            train_videoqa.STORED,
            evaluate_videoqa.STORED,
            simulation_job.STORED,
            records.EXAMINE,
            records.REPACK,
            train_surrogate.STORED,
            evaluate_surrogate.STORED,
            llm_answers.STORED,
            passages.STORED,
            extract_claims.STORED,
            language_model.STORED,
            parses.STORED,
            write_texts.STORED,
            train_retriever.STORED,
            train_verifier.STORED,
            evaluate_factuality.STORED,
        ]
    }


def with_code_deps(dvc_yaml: str) -> str:
    """Return the text of dvc.yaml with each stage's code deps as they are; nothing else changes."""

    def mended(stage: re.Match[str]) -> str:
        command = re.search(r"cmd: python -m (tasks\.\S+)", stage[0])
        if command is None:
            return stage[0]
        lines = stage[0].splitlines(keepends=True)
        code = [n for n, line in enumerate(lines) if re.fullmatch(r" {6}- tasks/\S+\.py\n", line)]
        kept = [line for n, line in enumerate(lines) if n not in code]
        at = code[0] if code else max(n for n, line in enumerate(kept) if re.match(r" {6}- ", line)) + 1
        listed = [f"      - {path}\n" for path in sorted(paths(reached_from(command[1])))]
        return "".join([*kept[:at], *listed, *kept[at:]])

    return re.sub(r"^  \w+:\n(?: {4,}.*\n)+", mended, dvc_yaml, flags=re.MULTILINE)


if __name__ == "__main__":
    stages = REPOSITORY / "dvc.yaml"
    stages.write_text(with_code_deps(stages.read_text()))
    TABLE.write_text(json.dumps({name: describe(f) for name, f in sorted(all_functions().items())}, indent=2) + "\n")
    print(f"{TABLE.relative_to(REPOSITORY)} written", file=sys.stderr)
