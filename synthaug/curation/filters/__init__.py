"""One filter a file: a frozen class of settings that `synthaug.curation.base.register_filter` decorates."""
