"""Exports: SavedModels that TF Serving runs as they are.

Nothing is imported before it is used: `publish` and `border` need no TensorFlow.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmm.export.save import export_item_encoder, export_ranker

__all__ = ["export_item_encoder", "export_ranker"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfmm.export import save

    return getattr(save, name)
