"""Encoders: pictures, titles and ready-made vectors to unit vectors."""

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.factories import (
    image,
    image_from_preset,
    text,
    text_from_preset,
)
from tfmm.encoders.fusion_encoder import FusionEncoder, fusion, fusion_tower
from tfmm.encoders.image_encoder import ImageEncoder, image_tower
from tfmm.encoders.item_encoder import ItemEncoder, save_item_encoder
from tfmm.encoders.media_encoder import MediaEncoder
from tfmm.encoders.rates import AdamW
from tfmm.encoders.text_encoder import TextEncoder, text_tower
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.tower import Tower
from tfmm.encoders.vector_encoder import VectorEncoder, vector_tower, vectors
from tfmm.encoders.vocabulary import learn_vocabulary

__all__ = [
    "AdamW",
    "Encoder",
    "FusionEncoder",
    "ImageEncoder",
    "ItemEncoder",
    "MediaEncoder",
    "TextEncoder",
    "Tower",
    "VectorEncoder",
    "WordPieces",
    "fusion",
    "fusion_tower",
    "image",
    "image_from_preset",
    "image_tower",
    "learn_vocabulary",
    "save_item_encoder",
    "text",
    "text_from_preset",
    "text_tower",
    "vector_tower",
    "vectors",
]
