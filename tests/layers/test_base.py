import ast
from pathlib import Path

TFMM = Path(__file__).parents[2] / "tfmm"


def test_every_layer_refuses_tf_keras():
    wrong = []
    for path in sorted(TFMM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and path != TFMM / "layers" / "base.py":
                bases = [ast.unparse(base) for base in node.bases]
                if "keras.layers.Layer" in bases:
                    wrong.append(f"{path.relative_to(TFMM)}: {node.name}")
    assert not wrong, "derive from tfmm.layers.base.Layer"
