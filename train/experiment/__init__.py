"""Does `future` learn what it should? An experiment on a simulated hospital, whose truth is known.

`dvc repro` (or `dvc exp run`) in this folder; docs/experiment.md tells what came out.
"""
