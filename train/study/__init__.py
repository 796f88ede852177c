"""DDL-CXR's whole study as a pipeline: generators, their latents, every model and seed, tables."""
