"""JSON files in, and JSON for human eyes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError


def pretty(value: Any, longest: int = 8, indent: str = "") -> str:
    """Lays out a JSON value and says how much it leaves out.

    Args:
        value: what `json.load` gives.
        longest: how many elements of a list to show.
        indent: what stands before each line after the first.

    Example:
        >>> print(pretty({"score": [[0.12345678, 1]], "item": [*"abcd"]}, 3))
        {
          "score": [[0.123457, 1]],
          "item": ["a", "b", "c", … 1 more]
        }
    """
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = [
            f"{deeper}{json.dumps(str(key), ensure_ascii=False)}: "
            f"{pretty(inner, longest, deeper)}"
            for key, inner in value.items()
        ]
        line = "{" + ", ".join(text.strip() for text in lines) + "}"
        if indent and len(line) < 80 and not _nested(list(value.values())):
            return line
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list):
        parts = [pretty(inner, longest, deeper) for inner in value[:longest]]
        if len(value) > longest:
            parts.append(f"… {len(value) - longest:,} more")
        line = f"[{', '.join(parts)}]"
        if "\n" not in line and (len(line) < 100 or not _nested(value)):
            return line
        return "[\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and len(value) > 200:
        value = f"{value[:80]}… ({len(value):,} characters)"
    return json.dumps(value, ensure_ascii=False)


def _nested(value: list[Any]) -> bool:
    return any(isinstance(inner, dict | list) for inner in value)


def read_json(path: Path) -> Any:
    """The file's content; a `TfmmError` if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TfmmError(
            f"`{path}` is not valid JSON. Received: {error}. Run its stage again."
        ) from error
