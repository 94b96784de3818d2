"""The text line. Its processes are many and short, so what they load counts.

spaCy's thinc imports torch where there is one, two seconds of a process, and needs it for wrappers that no parser has.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _ThincWithoutTorch:
    """Lets thinc begin as where torch is not installed; whoever imports torch, before or after, has it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "thinc.compat" or "torch" in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_without_torch(module: ModuleType) -> None:
            sys.modules["torch"] = None  # type: ignore[assignment]  # so `import torch` raises ImportError
            try:
                execute(module)
            finally:
                del sys.modules["torch"]

        spec.loader.exec_module = execute_without_torch  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _ThincWithoutTorch)
