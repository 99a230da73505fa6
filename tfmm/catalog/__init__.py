"""Item vectors by catalog row: int8 codes, inverse norms, presence, fingerprint."""

from tfmm.catalog.catalog import Catalog
from tfmm.catalog.quantise import VectorTable, quantise

__all__ = ["Catalog", "VectorTable", "quantise"]
