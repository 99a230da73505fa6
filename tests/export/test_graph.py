import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.c_api import run_as_server
from tfmm.export.graph import check_graph
from tfmm.export.warmup import Call


def save(folder, function, module=None):
    module = module or tf.Module()
    spec = tf.TensorSpec([None], tf.float32, name="x")
    module.run = tf.function(function, autograph=False)
    concrete = module.run.get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": concrete})
    return folder


def test_plain_arithmetic_passes(tmp_path):
    check_graph(save(tmp_path, lambda x: {"y": x + 1}))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: {"y": tf.numpy_function(np.sin, [x], tf.float32)}, "PyFunc"),
        (lambda x: {"y": tf.cast(x, tf.bfloat16)}, "Received: bfloat16"),
        (lambda x: {"y": tf.reduce_sum(x)}, "no batch axis"),
        (
            lambda x: {"y": tf.ones([1]) + x[0], "z": tf.ones([2]) + x[0]},
            "no common batch axis",
        ),
        (lambda x: {"y_bytes": x}, "holds no bytes"),
        (
            lambda x: {"y": tf.function(tf.sin, jit_compile=True)(x)},
            "demands XLA",
        ),
    ],
)
def test_what_servers_cannot_run_is_refused(tmp_path, function, message):
    with pytest.raises(TfmmError, match=message):
        check_graph(save(tmp_path, function))


def test_variables_stored_twice_are_refused(tmp_path):
    module = tf.Module()
    module.table = tf.Variable(tf.zeros([10_000, 10]))
    module.copy = tf.Variable(tf.zeros([10_000, 10]))
    folder = save(tmp_path / "fine", lambda x: {"y": x + module.table[0, 0]}, module)
    check_graph(folder)
    # A checkpoint of the same size under one more key, as Keras's own export writes.
    checkpoint = tf.train.Checkpoint(
        a=module.table, b=module.copy, c=tf.Variable(tf.zeros([30_000, 10]))
    )
    checkpoint.write(str(folder / "variables" / "variables"))
    with pytest.raises(TfmmError, match="more than once"):
        check_graph(folder)


def test_a_failing_call_is_told_in_the_servers_words(tmp_path):
    def gather(x):
        return {"y": tf.gather(tf.constant([1.0, 2.0]), tf.cast(x, tf.int32))}

    folder = save(tmp_path, gather)
    inputs = {"x": np.float32([1, 9])}
    with pytest.raises(TfmmError, match=r"indices\[1\] = 9 is not in \[0, 2\)"):
        run_as_server(folder, [Call("serving_default", inputs)])


def test_what_does_not_load_is_told(tmp_path):
    folder = save(tmp_path, lambda x: {"y": x})
    for path in (folder / "variables").iterdir():
        path.unlink()
    module = tf.Module()
    module.v = tf.Variable([1.0])
    broken = save(tmp_path / "v", lambda x: {"y": x * module.v}, module)
    for path in (broken / "variables").iterdir():
        path.unlink()
    with pytest.raises(TfmmError, match="does not run outside Python"):
        run_as_server(broken, [Call("serving_default", {"x": np.float32([1])})])
