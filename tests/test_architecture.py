"""Imports point one way, and importing the package changes nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Every room and the rooms that it may import from.
MAY = {
    "errors": set(),
    "schema": {"errors"},
    "column_values": {"errors"},
    "csv_rows": {"errors"},
    "file_names": {"errors"},
    "table_files": {"errors", "csv_rows"},
    "tables": {"errors", "schema", "column_values", "file_names", "table_files"},
    "identity": {"errors"},
    "records": {"errors", "schema"},
    "data": {"errors", "records", "encoders"},
    "catalog": {"errors", "records"},
    "layers": {"errors"},
    "encoders": {"errors", "records", "catalog", "layers"},
    "fitting": {"errors", "records"},
    "pretrain": {"errors", "records", "data", "layers", "encoders", "fitting"},
    "ranking": {"errors", "records", "catalog", "layers", "fitting"},
    "evaluation": {"errors", "records", "catalog", "ranking"},
    "export": {"errors", "records", "catalog", "layers", "encoders", "ranking"},
    "serving": {"errors", "records", "export"},
    "datasets": {"errors", "records", "catalog", "schema", "evaluation"},
}
TOP = {"cli", "road", "onboarding"}
LIGHT = (
    *("errors", "schema", "column_values", "csv_rows", "file_names"),
    *("table_files", "tables"),
    *("identity", "records", "catalog", "datasets", "cli"),
)
HEAVY = ("tensorflow", "keras", "keras_hub", "keras_rs", "apache_beam")


def modules(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path, list(path.relative_to(ROOT).with_suffix("").parts)


def imports(path, top_only=False):
    """Dotted names that a file imports; relative imports are not used here."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def rooms_of(path):
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "tfmm" and len(parts) > 1}


def known_rooms():
    return {path.stem for path in (ROOT / "tfmm").glob("*.py")} | {
        path.parent.name for path in (ROOT / "tfmm").glob("*/__init__.py")
    }


def test_every_room_has_its_place():
    assert known_rooms() - {"__init__", "recipes"} <= set(MAY) | TOP


@pytest.mark.parametrize("room", sorted(MAY))
def test_imports_point_one_way(room):
    rooms = known_rooms()
    for path, parts in modules("tfmm"):
        if len(parts) > 1 and parts[1] == room:
            wrong = (rooms_of(path) & rooms) - MAY[room] - {room}
            assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_jobs_are_used_by_the_top_alone():
    for path, parts in modules("tfmm"):
        if parts[1] not in TOP:
            assert not any(name.startswith("beam_jobs") for name in imports(path)), path


def test_jobs_use_the_lower_rooms_alone():
    may = {"errors", "schema", "tables", "identity", "records", "catalog"}
    for path, _ in modules("beam_jobs"):
        assert rooms_of(path) & known_rooms() <= may, path


def test_kernels_know_no_beam():
    for path, _ in modules("beam_jobs/kernels"):
        assert not any(name.startswith("apache_beam") for name in imports(path)), path


def test_light_rooms_import_nothing_heavy_at_their_top():
    for path, parts in modules("tfmm"):
        if parts[1] in LIGHT:
            heavy = {name.split(".")[0] for name in imports(path, top_only=True)}
            assert not heavy & set(HEAVY), path


LOADED = """
import json, os, sys, warnings
before = dict(os.environ), list(warnings.filters)
import tfmm
dir(tfmm)
changed = (dict(os.environ), list(warnings.filters)) != before
import tfmm.schema, tfmm.tables, tfmm.catalog, tfmm.records.vocabularies
loaded = [name for name in %r if name in sys.modules]
print(json.dumps({"loaded": loaded, "changed": changed}))
"""


def test_importing_loads_and_changes_nothing():
    command = [sys.executable, "-c", LOADED % (HEAVY,)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"loaded": [], "changed": False}


@pytest.mark.slow
def test_every_public_name_resolves():
    import tfmm

    for name in tfmm.__all__:
        assert getattr(tfmm, name) is not None
        assert name in dir(tfmm)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        tfmm.absent  # noqa: B018
