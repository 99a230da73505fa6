"""Wire formats between the stages: records, item index, vocabularies, manifests."""
