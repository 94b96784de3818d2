"""Parameters that go in pairs: min_NAME and max_NAME."""

from pydantic import BaseModel


def require_order(model: BaseModel, *names: str, of: str = "") -> None:
    """Raise ValueError where min_NAME is more than max_NAME of a model; `of` is said before their names."""
    for name in names:
        least, most = getattr(model, f"min_{name}"), getattr(model, f"max_{name}")
        if least > most:
            raise ValueError(f"{of}min_{name} {least:g} is more than {of}max_{name} {most:g}")
