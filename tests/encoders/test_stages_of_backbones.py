"""Stages of keras-hub's picture backbones: from input to output, block by block."""

import keras
import pytest
import small_backbones as small

import tfmm
from tfmm.encoders import ImageEncoder
from tfmm.encoders.presets import image_half

DINO = ["embeddings", "layers_0", "layers_1", "layers_2", "layernorm"]
TRANSFORMER = ["encoder_block_0", "encoder_block_1"]
STAGES = {
    "dinov2": DINO,
    "dinov3": DINO,
    "swin": [
        "patch_embedding",
        *("stage_0/blocks_0", "stage_0/blocks_1", "downsample"),
        *("stage_1/blocks_0", "stage_1/blocks_1", "norm"),
    ],
    "vit": [
        "vit_patching_and_embedding",
        *("transformer_block_1", "transformer_block_2"),
        "ln",
    ],
    "clip": [
        *("embedding", "pre_layer_norm"),
        *TRANSFORMER,
        *("layer_norm", "vision_projection"),
    ],
    "siglip": ["embedding", *TRANSFORMER, "post_layer_norm", "head"],
    "resnet": ["conv1", "stack0", "stack1"],
    "efficientnet": ["stem_conv", "stem_bn", "block1", "block2", "top_conv", "top_bn"],
    "mobilenet": [
        *("input_conv", "input_batch_norm"),
        *("block_0", "block_1", "block_2", "block_3"),
    ],
    "cspnet": ["csp_stem_conv_0", "csp_stem_bn_0", "stage_0", "stage_1"],
}


def _encoder(name):
    backbone = image_half(getattr(small, name)())
    side = None if backbone.inputs[0].shape[1] else 32
    return ImageEncoder(tfmm.encoders.image_tower(backbone, 4, image_size=side))


@pytest.mark.parametrize("name", STAGES)
def test_freezing_a_stage_leaves_exactly_the_later_ones(name):
    encoder = _encoder(name)
    assert encoder.stages == [*STAGES[name], "projection"]
    stages = encoder.tower.stages
    encoder.unfreeze()
    learnt = [
        {id(w) for layer in stage.layers for w in layer.trainable_weights}
        for stage in stages
    ]
    held = [w for stage in stages for layer in stage.layers for w in layer.weights]
    assert len(held) == len({id(w) for w in held}) == len(encoder.tower.weights)
    for place, stage in enumerate(stages):
        encoder.freeze(upto=stage.name)
        left = {id(weight) for weight in encoder.tower.trainable_weights}
        assert left == set().union(*learnt[place + 1 :])


def test_names_are_the_same_however_often_a_model_is_loaded():
    first, again = small.clip(), small.clip()
    for backbone in (first, again):
        copy = type(backbone).from_config(backbone.get_config())
        tower = tfmm.encoders.image_tower(image_half(copy), 4)
        assert [stage.name for stage in tower.stages][:-1] == STAGES["clip"]


def test_one_block_is_a_stage_too():
    tower = tfmm.encoders.image_tower(small.dinov2(layers=1), 4)
    names = [stage.name for stage in tower.stages]
    assert names == ["embeddings", "encoder", "layernorm", "projection"]


def test_a_backbone_that_is_not_opened_is_still_the_backbone():
    class Scaled(keras.Model):
        def build(self, shape):
            self.scale = self.add_weight(shape=(), name="scale")

        def call(self, x):
            return x * self.scale

    raw = keras.Input((3,))
    head = keras.layers.Dense(2, name="projection")
    tower = tfmm.encoders.Tower(raw, head(Scaled(name="scaled")(raw)))
    found = [(stage.name, stage.backbone) for stage in tower.stages]
    assert found == [("scaled", True), ("projection", False)]
