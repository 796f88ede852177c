"""MIMIC trees to shards: one module a stage, one word for it everywhere."""
