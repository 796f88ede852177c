"""One of two processes of ``test_clip``; it imports no more than it needs, being started anew."""

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from train.task import Moment


def write_gradients(rank, task, model, halves, folder):
    """The gradient of this rank's half of a batch, averaged over both."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    wrapped = DistributedDataParallel(model)
    at = Moment(5, 0, 100, torch.device("cpu"))
    task.losses_of(wrapped, halves[rank], at)["loss"].backward()
    if rank == 0:
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        save_file(gradients, folder / "gradients.safetensors")
    dist.barrier()
    dist.destroy_process_group()
