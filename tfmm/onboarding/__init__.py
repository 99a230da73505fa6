"""From a shop's own files to a schema, a data check and a first gain table."""
