"""Apache Beam jobs: raw tables and media in, records out.

Each is `python -m beam_jobs.NAME`, with `--help`.
"""

import logging

# Beam without its cloud extra says so at every import; nobody here asked for it.
logging.getLogger().addFilter(lambda record: "apitools" not in record.getMessage())
