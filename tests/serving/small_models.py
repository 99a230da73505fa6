"""Small SavedModels with a signature for every rule of the conformance tests."""

import http.client
import json
from contextlib import closing
from pathlib import Path

import tensorflow as tf

NUMBERS = (
    *("float32", "float64", "int8", "uint8", "int16", "uint16"),
    *("int32", "int64", "uint32", "uint64", "bool", "float16", "bfloat16"),
)
CONFIG = """
model_config_list {{
  config {{
    name: "half" base_path: "{base}/half" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "a/b" value: {largest} }}
  }}
  config {{ name: "a b" base_path: "{base}/small" }}
  config {{ name: "small" base_path: "{base}/small" }}
}}
"""
LARGEST = 2**63 - 1


def function(call, *specs):
    signature = [tf.TensorSpec(shape, dtype, name) for name, dtype, shape in specs]
    return tf.function(call, input_signature=signature)


def identity(dtype):
    return function(lambda x: {"y": tf.identity(x)}, ("x", dtype, None))


def half_plus(number):
    return function(lambda x: {"y": x / 2 + number}, ("x", "float32", None))


def spin(steps):
    """Takes its time: about a second for 40 steps."""
    matrix = tf.ones((500, 500)) / 500
    state = tf.while_loop(
        lambda i, m: i < tf.reduce_sum(steps) * 10,
        lambda i, m: (i + 1, m @ matrix),
        (0, matrix),
    )
    return {"y": tf.reshape(state[1][0, 0], [1])}


def signatures():
    """Signature name -> function, of the model `small`."""
    return {
        "serving_default": half_plus(2),
        **{dtype: identity(dtype) for dtype in (*NUMBERS, "string")},
        "two": function(
            lambda a, b: {"sum": tf.reduce_sum(a, -1), "text": b, "text_bytes": b},
            ("a", "float32", None),
            ("b", "string", None),
        ),
        "scalar": function(lambda x: {"y": tf.reduce_sum(x)}, ("x", "float32", None)),
        "uneven": function(lambda x: {"y": x, "z": x[:1]}, ("x", "float32", None)),
        "named_b64": function(lambda b64: {"y": b64}, ("b64", "string", None)),
        "nothing": function(lambda: {"y": tf.ones(1)}),
        "picky": function(
            lambda x: {"y": tf.gather([1.0, 2.0], x)}, ("x", "int32", None)
        ),
        "spin": function(spin, ("steps", "int32", None)),
    }


def save(folder, functions):
    """Writes a version; it appears whole."""
    module = tf.Module()
    module.functions = functions
    draft = Path(folder).with_name(f"draft-{Path(folder).name}")
    tf.saved_model.save(module, str(draft), signatures=functions)
    draft.rename(folder)


def write_all(base):
    """Writes the models of `CONFIG`; returns the config's path."""
    save(base / "half" / "1", {"serving_default": half_plus(2)})
    save(base / "half" / str(LARGEST), {"serving_default": half_plus(3)})
    save(base / "small" / "7", signatures())
    path = base / "models.config"
    path.write_text(CONFIG.format(base=base, largest=LARGEST))
    return path


def ask(server, method, path, body=None, headers=None):
    """(HTTP code, content type, body) of one REST call over a connection of its own."""
    address = "127.0.0.1", server.rest_port
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()


def predict(server, document, model="small"):
    """(HTTP code, parsed answer) of a predict call; the document may be bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    code, _, text = ask(server, "POST", f"/v1/models/{model}:predict", body)
    return code, json.loads(text)
