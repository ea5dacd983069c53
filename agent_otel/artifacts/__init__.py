"""What derives from the catalog as text: pure functions from declarations to files, run by `make generate`."""
