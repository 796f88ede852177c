"""Other loaders reading the samples of the loader's bench, each run by an interpreter that has it.

Nothing here imports anything of ours: an interpreter of a peer sees this folder alone.
"""
