"""Small SavedModels for the rules of TensorFlow Serving, and how to ask for them."""

import http.client
import json

import tensorflow as tf

ANY = {
    "floats": {"x": tf.float32},
    "doubles": {"x": tf.float64},
    "int32s": {"x": tf.int32},
    "int64s": {"x": tf.int64},
    "uint32s": {"x": tf.uint32},
    "uint64s": {"x": tf.uint64},
    "int8s": {"x": tf.int8},
    "uint8s": {"x": tf.uint8},
    "int16s": {"x": tf.int16},
    "bools": {"x": tf.bool},
    "texts": {"x": tf.string},
    "two": {"a": tf.float32, "b": tf.string},
}


def _plain(**inputs):
    return {name: tf.identity(value) for name, value in inputs.items()}


def _others():
    x = {"x": tf.TensorSpec(None, tf.float32, name="x")}
    rows = {"x": tf.TensorSpec([None], tf.float32, name="x")}
    return {
        "images": (
            lambda x: {"image_bytes": tf.identity(x)},
            {"x": tf.TensorSpec(None, tf.string, name="x")},
        ),
        "serving_default": (lambda x: {"y": 0.5 * x + 2.0}, x),
        "total": (lambda x: {"y": tf.reduce_sum(x)}, x),
        "uneven": (lambda x: {"y": x, "z": x[:1]}, rows),
        "halves": (lambda x: {"y": tf.cast(x, tf.float16)}, x),
        "row": (
            lambda x: {"y": tf.gather(tf.constant([1.0, 2.0]), tf.cast(x, tf.int32))},
            rows,
        ),
        "slow": (_slow, rows),
    }


def _slow(x):
    """Works for some tenths of a second."""
    matrix = tf.ones([600, 600]) * x[0]
    for _ in range(40):
        matrix = tf.linalg.matmul(matrix, matrix)
        matrix /= tf.reduce_max(tf.abs(matrix)) + 1
    return {"y": x + 0 * tf.reduce_sum(matrix)}


def save(folder):
    """Writes the model with all signatures as a version."""
    module = tf.Module()
    functions = {
        name: (
            _plain,
            {k: tf.TensorSpec(None, dtype, name=k) for k, dtype in inputs.items()},
        )
        for name, inputs in ANY.items()
    }
    concrete = {
        name: tf.function(function, autograph=False).get_concrete_function(**specs)
        for name, (function, specs) in {**functions, **_others()}.items()
    }
    module.kept = list(concrete.values())
    tf.saved_model.save(module, str(folder), signatures=concrete)


class Rest:
    """Asks one server over one connection; answers status and text."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, method, path, body=None, headers=None):
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._connection.request(method, path, data, headers or {})
        response = self._connection.getresponse()
        self.headers = dict(response.getheaders())
        return response.status, response.read().decode("utf-8", "surrogateescape")

    def predict(self, body, signature=None, model="rules", **headers):
        if isinstance(body, dict) and signature:
            body = {"signature_name": signature, **body}
        code, text = self("POST", f"/v1/models/{model}:predict", body, headers)
        return code, json.loads(text)

    def columns(self, signature, value):
        """What an input `x`, or several, comes back as."""
        code, answer = self.predict({"inputs": value}, signature)
        return answer["outputs"] if code == 200 else (code, answer["error"])

    def raw(self, signature, text):
        """The same with the value written by hand."""
        body = f'{{"signature_name": "{signature}", "inputs": {text}}}'.encode()
        code, answer = self.predict(body)
        return answer["outputs"] if code == 200 else (code, answer["error"])
