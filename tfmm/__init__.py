"""tfmm: multimodal CTR models from raw media and logs to TF Serving.

Importing the package loads neither TensorFlow nor Keras; a name does when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Schema": "tfmm.schema",
    "TfmmError": "tfmm.errors",
    "ItemIndex": "tfmm.records.index",
    "Vocabularies": "tfmm.records.vocabularies",
    "Catalog": "tfmm.catalog",
    "SCL": "tfmm.pretrain",
    "MAKE": "tfmm.ranking",
    "RankingModel": "tfmm.ranking",
}
_MODULES = (
    "catalog",
    "data",
    "datasets",
    "encoders",
    "evaluation",
    "export",
    "layers",
    "pretrain",
    "ranking",
    "records",
    "serving",
)

__all__ = [*sorted(_NAMES), *_MODULES]

if TYPE_CHECKING:  # the names that `_NAMES` loads when they are used
    from tfmm.catalog import Catalog as Catalog
    from tfmm.errors import TfmmError as TfmmError
    from tfmm.pretrain import SCL as SCL
    from tfmm.ranking import MAKE as MAKE
    from tfmm.ranking import RankingModel as RankingModel
    from tfmm.records.index import ItemIndex as ItemIndex
    from tfmm.records.vocabularies import Vocabularies as Vocabularies
    from tfmm.schema import Schema as Schema


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if name in _MODULES:
        return import_module(f"tfmm.{name}")
    raise AttributeError(f"module 'tfmm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_MODULES})
