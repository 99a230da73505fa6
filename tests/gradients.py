"""Gradients of TensorFlow against central differences of a plain numpy version."""

import numpy as np
import tensorflow as tf


def numeric_gradients(function, arrays, step=1e-5):
    """d function / d arrays by central differences, in float64."""
    arrays = [np.asarray(array, np.float64).copy() for array in arrays]
    gradients = [np.zeros_like(array) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for index in np.ndindex(array.shape):
            middle = array[index]
            array[index] = middle + step
            above = function(*arrays)
            array[index] = middle - step
            below = function(*arrays)
            array[index] = middle
            gradient[index] = (above - below) / (2 * step)
    return gradients


def tensorflow_gradients(function, arrays, weights=()):
    """d sum(function) / d arrays and weights; zeros where nothing flows."""
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors))
    found = tape.gradient(
        total, [*tensors, *weights], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return [gradient.numpy() for gradient in found]
