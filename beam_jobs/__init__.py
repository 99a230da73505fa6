"""Apache Beam jobs: raw tables and media in, records out.

Each is `python -m beam_jobs.NAME`, with `--help`.
"""

import logging

from tfmm.errors import TfmmError

# Beam without its cloud extra says so at every import; nobody here asked for it.
logging.getLogger().addFilter(lambda record: "apitools" not in record.getMessage())


def _not_taught(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], TfmmError))


# A taught error reaches the caller; Beam would print its traceback first.
logging.getLogger("apache_beam.runners.common").addFilter(_not_taught)
