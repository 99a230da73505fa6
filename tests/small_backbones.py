"""keras-hub backbones so small that tests build them by the dozen."""

import keras_hub

MODELS = keras_hub.models

VISION = {
    "patch_size": 16,
    "hidden_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 16,
    "image_shape": (32, 32, 3),
}

WORDS = {
    "vocabulary_size": 12,
    "embedding_dim": 8,
    "hidden_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 16,
    "max_sequence_length": 12,
}


def clip():
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

    return MODELS.CLIPBackbone(CLIPVisionEncoder(**VISION), CLIPTextEncoder(**WORDS), 4)


def siglip():
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    return MODELS.SigLIPBackbone(
        SigLIPVisionEncoder(**VISION), SigLIPTextEncoder(**WORDS)
    )


def vit():
    return MODELS.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )


def resnet():
    return MODELS.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def efficientnet():
    return MODELS.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 2,
        stackwise_depth_coefficients=[1.0] * 2,
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
    )


def mobilenet():
    return MODELS.MobileNetBackbone(
        stackwise_expansion=[[8], [16]],
        stackwise_num_blocks=[1, 1],
        stackwise_num_filters=[[8], [16]],
        stackwise_kernel_size=[[3], [3]],
        stackwise_num_strides=[[2], [2]],
        stackwise_se_ratio=[[None], [0.25]],
        stackwise_activation=[["relu"], ["hard_swish"]],
        stackwise_padding=[[1], [1]],
        output_num_filters=32,
        input_num_filters=8,
        input_activation="hard_swish",
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=32,
    )


def dinov2(layers=3):
    return MODELS.DINOV2Backbone(**_dino(layers))


def dinov3(layers=3):
    return MODELS.DINOV3Backbone(**_dino(layers))


def _dino(layers):
    return {
        "patch_size": 14,
        "num_layers": layers,
        "hidden_dim": 8,
        "num_heads": 2,
        "intermediate_dim": 16,
        "image_shape": (28, 28, 3),
    }


def swin():
    return MODELS.SwinTransformerBackbone(
        image_shape=(64, 64, 3),
        patch_size=4,
        embed_dim=8,
        depths=[2, 2],
        num_heads=[1, 2],
        window_size=4,
    )


def cspnet():
    return MODELS.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_num_filters=[8, 16],
        stackwise_strides=[1, 2],
        stackwise_depth=[2, 2],
        block_type="dark_block",
        stage_type="dark",
        bottle_ratio=[0.5, 0.5],
        expand_ratio=[1.0, 1.0],
    )
