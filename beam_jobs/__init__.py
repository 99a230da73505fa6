"""Apache Beam jobs: raw tables and media in, records out.

Each is `python -m beam_jobs.NAME`, with `--help`.
"""

import logging

from tfmm.errors import TfmmError

# Beam without its cloud extra says so at every import; nobody here asked for it.
logging.getLogger().addFilter(lambda record: "apitools" not in record.getMessage())


# Workers of one machine have no folder that lasts, and want none.
logging.getLogger("apache_beam.runners.portability.local_job_service").addFilter(
    lambda record: "semi_persistent_directory" not in record.getMessage()
)


def _unknown(record: logging.LogRecord) -> bool:
    known = TfmmError | KeyboardInterrupt
    return not (record.exc_info and isinstance(record.exc_info[1], known))


# Taught errors and Ctrl-C reach the caller; Beam would print a traceback first.
logging.getLogger("apache_beam.runners.common").addFilter(_unknown)
