"""stats.yaml as The Well has it: mean, std, rms and those of steps, of each field: a number, [D] or [[D] x D]."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.physics.moments import Moments

ORDER = ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")
EXACT = 17  # digits that give a float64 back


def stats_text(
    fields: Sequence[Mapping[str, Any]], totals: Mapping[str, Sequence[tuple[Moments, Moments]]], digits: int
) -> str:
    """Return the file's text. `totals` has (values, steps) for each component of each field, in row-major order.

    Steps are given for fields that vary in time. `digits` significant ones: The Well's own files have 5.
    """
    lines = []
    for name in ORDER:
        kind, _, steps = name.partition("_")
        lines.append(f"{name}:")
        for field in fields:
            if steps and not field["time_varying"]:
                continue
            numbers = [_number(getattr(one[bool(steps)], kind), digits) for one in totals[field["name"]]]
            lines.append(f"  {field['name']}: {_nested(numbers, field['order'])}")
        if lines[-1] == f"{name}:":
            lines[-1] += " {}"
    return "\n".join(lines) + "\n"


def _nested(numbers: list[str], order: int) -> str:
    if order == 0:
        return numbers[0]
    if order == 1:
        return f"[{', '.join(numbers)}]"
    dims = round(len(numbers) ** 0.5)
    return f"[{', '.join(_nested(numbers[at : at + dims], 1) for at in range(0, len(numbers), dims))}]"


def _number(value: float, digits: int) -> str:
    """Return a number that YAML 1.1 reads as one: with a point, also before an exponent."""
    text = repr(float(value)) if digits >= EXACT else f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"
