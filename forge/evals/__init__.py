"""One scorer, one bootstrap, one ledger: everything that turns a model into a figure lives here."""
