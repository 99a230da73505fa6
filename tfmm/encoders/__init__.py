"""Encoders: pictures and titles to unit vectors, in training and in the server."""

from tfmm.encoders.encoder import Encoder
from tfmm.encoders.factories import (
    image,
    image_from_preset,
    text,
    text_from_preset,
)
from tfmm.encoders.image_encoder import ImageEncoder, image_tower
from tfmm.encoders.item_encoder import ItemEncoder, save_item_encoder
from tfmm.encoders.text_encoder import TextEncoder, text_tower
from tfmm.encoders.titles import WordPieces
from tfmm.encoders.vocabulary import learn_vocabulary

__all__ = [
    "Encoder",
    "ImageEncoder",
    "ItemEncoder",
    "TextEncoder",
    "WordPieces",
    "image",
    "image_from_preset",
    "image_tower",
    "learn_vocabulary",
    "save_item_encoder",
    "text",
    "text_from_preset",
    "text_tower",
]
