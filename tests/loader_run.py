"""A training run of one rank that writes what it sees, for `tests/test_loader_processes.py`:
`python loader_run.py DATASET FOLDER STEP_SAMPLES WORKERS STEPS`, RANK and WORLD_SIZE of the
environment. It goes on from FOLDER/state.pt and writes that anew after every step; what a rank is
given in a step it writes to FOLDER/seen-STEP-RANK first.
"""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed
from tiny_loader import VIEW, numbers_of

from cxrfuture_data import open_dataset

SEED = 3
PAUSE = 0.05  # seconds a step: long enough to be killed within


def main() -> None:
    dataset, folder = Path(sys.argv[1]), Path(sys.argv[2])
    step_samples, workers, steps = map(int, sys.argv[3:])
    split = open_dataset(dataset).split("train", "pair")
    ranks = start_ranks(folder)
    loader = split.loader(step_samples // ranks, VIEW, seed=SEED, workers=workers)
    rank = loader.options.rank
    if (folder / "state.pt").exists():
        loader.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    done = loader.epoch * len(loader) + loader.position // step_samples
    while done < steps:
        for batch in loader:
            numbers = torch.tensor(numbers_of(batch))
            (folder / f"seen-{done}-{rank}").write_text(" ".join(map(str, numbers.tolist())))
            time.sleep(PAUSE)
            torch.distributed.all_reduce(numbers)  # fails unless all have as many samples
            done += 1
            if rank == 0:
                torch.save(loader.state_dict(), folder / "part.pt")
                (folder / "part.pt").rename(folder / "state.pt")
            if done == steps:
                break
    loader.close()
    torch.distributed.destroy_process_group()


def start_ranks(folder: Path) -> int:
    """How many there are; they meet over a file."""
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    place = f"file://{folder.resolve()}/store"
    torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=ranks)
    return ranks


if __name__ == "__main__":
    main()
