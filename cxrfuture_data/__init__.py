"""The contract of a CXRFuture dataset, and its reader. Light: no torch, DuckDB or Polars at import."""
