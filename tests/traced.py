"""What the graph of a training step does with the tables of a model."""

from typing import NamedTuple

import tensorflow as tf

# Ops that neither read nor write more of a table than the rows they are given.
BY_ROW = {"ResourceGather", "ResourceScatterUpdate", "ResourceScatterSub"}


class Step(NamedTuple):
    """`large`: ops with an output as long as a table; `uses`: ops on the tables."""

    large: list[str]
    uses: set[str]


def traced_step(model, batch, rows):
    """Traces `model.train_step`, the optimizer's part included.

    Args:
        model: A compiled Keras model whose tables have `rows` rows, and nothing else
            a dimension of that length.
        batch: One element of its data set.
        rows: int.
    """
    model.optimizer.build(model.trainable_variables)
    specs = tf.nest.map_structure(
        lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), batch
    )
    strategy = model.distribute_strategy
    step = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)))
    graph = step.get_concrete_function(specs).graph
    tables = {
        inside.op.name
        for outside, inside in graph.captures
        if outside.dtype == tf.resource and rows in _variable_shape(outside)
    }
    assert tables
    definition = graph.as_graph_def(add_shapes=True)
    inner = [node for f in definition.library.function for node in f.node_def]
    large = [
        f"{node.op} {node.name}"
        for node in [*definition.node, *inner]
        for shape in node.attr["_output_shapes"].list.shape
        if rows in [dim.size for dim in shape.dim]
    ]
    uses = {
        node.op
        for node in definition.node
        if tables & {source.split(":")[0] for source in node.input}
    }
    return Step(large, uses)


def _variable_shape(handle):
    return [
        dim.size
        for part in handle._handle_data.shape_and_type
        for dim in part.shape.dim
    ]
