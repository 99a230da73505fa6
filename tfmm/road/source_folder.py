"""The folder of a public data set, as recipes name it."""

import os
from pathlib import Path

from tfmm.errors import TfmmError


def source_folder(source: str) -> Path:
    """The folder, with variables such as `$TFMM_DATA` replaced.

    Raises:
        TfmmError: If a variable is not set.
    """
    found = os.path.expandvars(source)
    if "$" in found:
        raise TfmmError(
            "The recipe reads its data from a folder that a variable names. Received: "
            f"{found}. Set the variable, or write the folder into a copy of the recipe."
        )
    return Path(found)
