"""Models that predict outcomes from the record and films: DDL-CXR's, and its baselines."""
