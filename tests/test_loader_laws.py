"""Laws of the loader on real tars: order, resume, state, memory. Those of the order's arithmetic
are in `tests/test_order.py`, those of several processes in `tests/test_loader_processes.py`."""

import json
import tracemalloc
from itertools import chain
from pathlib import Path

import pytest
import torch
from tiny_loader import VIEW, iterate, numbers_of, write_pairs

from cxrfuture_data import ContractError, open_dataset

COUNTS = (1, 2, 7, 63, 257)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    return {count: open_dataset(write_pairs(folder / str(count), count)) for count in (0, *COUNTS)}


@pytest.fixture(scope="module")
def pairs(datasets):
    return datasets[63].split("train", "pair")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def epochs(split, count, *, step_samples, world_size=1, state=None, **options):
    """The global steps of some epochs, from a state on: of each the samples of all ranks."""
    loaders = [
        split.loader(step_samples // world_size, VIEW, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]
    try:
        for loader in loaders if state else ():
            loader.load_state_dict(state)
        return [
            [list(chain(*parts)) for parts in zip(*map(iterate, loaders), strict=True)]
            for _ in range(count)
        ]
    finally:
        for loader in loaders:
            loader.close()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("training", [True, False])
def test_ranks_make_no_difference_to_a_global_step(datasets, count, training):
    split = datasets[count].split("train", "pair")
    for step_samples, ranks in ((1, [1]), (2, [2]), (6, [2, 3]), (36, [4, 9]), (64, [8])):
        if (training and step_samples > count) or step_samples < count // 20:
            continue
        options = {"step_samples": step_samples, "seed": 3, "training": training}
        alone = epochs(split, 2, **options)
        for epoch in alone:
            seen = list(chain(*epoch))
            assert len(seen) == len(set(seen))
            assert len(seen) == (count - count % step_samples if training else count)
        for world_size in ranks:
            assert epochs(split, 2, world_size=world_size, **options) == alone


@pytest.mark.parametrize(("workers", "step_samples"), [(1, 10), (3, 13), (4, 100)])
def test_workers_make_no_difference(datasets, workers, step_samples):
    """With batches fewer than workers too; a worker lives through all epochs."""
    split = datasets[257].split("train", "pair")
    options = {"step_samples": step_samples, "seed": 3}
    assert epochs(split, 2, workers=workers, **options) == epochs(split, 2, **options)


def test_workers_make_no_difference_to_evaluation_by_several_ranks(datasets):
    options = {"step_samples": 16, "world_size": 2, "training": False}
    found = epochs(datasets[63].split("train", "pair"), 2, workers=1, **options)
    assert [list(chain(*epoch)) for epoch in found] == [list(range(63))] * 2


def test_values_are_the_samples_own_with_workers_and_without(datasets):
    for workers in (0, 2):
        loader = datasets[257].split("train", "pair").loader(16, VIEW, seed=1, workers=workers)
        for batch in loader:
            numbers = torch.tensor(numbers_of(batch))
            assert batch.gap_hours.tolist() == numbers.tolist()
            assert (batch.target == (numbers % 256)[:, None, None, None, None]).all()
            assert batch.is_hour.sum(dim=1).tolist() == (numbers % 4).tolist()
            assert batch.is_event.sum(dim=1).tolist() == (numbers % 3).tolist()
            rows = batch.event_row.where(batch.is_event, 0)
            assert (batch.event[:, :, 0] == rows).all()
            assert (batch.event_row[~batch.is_event] == -1).all()
        loader.close()


def test_an_epoch_without_a_sample_is_over_at_once(datasets):
    none = datasets[0].split("train", "pair")
    for workers in (0, 2):
        loader = none.loader(4, VIEW, training=False, workers=workers)
        assert (len(loader), list(loader), list(loader)) == (0, [], [])
        assert loader.state_dict()["epoch"] == 2
        loader.close()
    with pytest.raises(ContractError, match=r"^train/pair has 0 samples, fewer than .*; lower"):
        none.loader(1, VIEW)


def test_fewer_samples_than_ranks_are_evaluated_and_not_trained_on(datasets):
    split = datasets[2].split("train", "pair")
    found = epochs(split, 1, step_samples=5, world_size=5, training=False)
    assert found == [[[0, 1]]]
    with pytest.raises(ContractError, match="has 2 samples, fewer than a batch of 1 on 5 ranks"):
        split.loader(1, VIEW, rank=0, world_size=5)


def test_epochs_differ_and_repeat_by_seed(pairs):
    first = epochs(pairs, 3, step_samples=21, seed=1)
    assert first == epochs(pairs, 3, step_samples=21, seed=1)
    others = epochs(pairs, 3, step_samples=21, seed=2)
    assert len({json.dumps(epoch) for epoch in first + others}) == 6
    loader = pairs.loader(21, VIEW, seed=1)
    loader.set_epoch(2)
    assert list(iterate(loader)) == first[2]
    assert list(iterate(loader)) != first[2]
    loader.set_epoch(0)
    assert list(iterate(loader)) == first[0]


def after(loader, steps):
    """The state when so many batches were read."""
    batches = iter(loader)
    for _ in range(steps):
        next(batches)
    return json.loads(json.dumps(loader.state_dict()))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [7, 63])
def test_a_run_goes_on_from_every_batch_on_any_number_of_ranks(datasets, count, training):
    """The state after the last batch is the beginning of the next epoch."""
    split = datasets[count].split("train", "pair")
    options = {"seed": 3, "training": training}
    whole = epochs(split, 3, step_samples=6, **options)
    for number in range(len(whole[0]) + 1):
        state = after(split.loader(6, VIEW, **options), number)
        for ranks in (1, 2, 6) if count == 7 else (1, 3):
            rest = epochs(split, 2, step_samples=6, world_size=ranks, state=state, **options)
            if number < len(whole[0]):
                assert rest == [whole[0][number:], whole[1]]
            else:
                assert rest == [whole[1], whole[2]]


def test_what_workers_read_ahead_is_not_lost(datasets):
    number = 5
    split = datasets[257].split("train", "pair")
    whole = epochs(split, 2, step_samples=12, seed=3)
    loader = split.loader(12, VIEW, seed=3, workers=2)
    state = after(loader, number)
    loader.close()
    assert state["position"] == 12 * number
    rest = epochs(split, 2, step_samples=12, world_size=2, state=state, seed=3, workers=1)
    assert rest == [whole[0][number:], whole[1]]


def test_another_batch_size_goes_on_with_the_samples_that_are_left(pairs):
    state = after(pairs.loader(6, VIEW, seed=3), 4)
    whole = list(chain(*epochs(pairs, 1, step_samples=1, seed=3)[0]))
    for batch_size in (1, 5, 13):
        loader = pairs.loader(batch_size, VIEW, seed=3)
        loader.load_state_dict(state)
        seen = list(chain(*iterate(loader)))
        assert seen == whole[24 : 63 - (63 - 24) % batch_size]


def test_the_state_is_five_integers_alike_on_every_rank(pairs):
    states = [after(pairs.loader(2, VIEW, rank=rank, world_size=4), 3) for rank in range(4)]
    assert states == [states[0]] * 4
    assert states[0].keys() == {"seed", "epoch", "position", "samples", "fingerprint"}
    assert all(type(value) is int for value in states[0].values())
    assert states[0]["position"] == 24


def test_a_loop_that_was_left_goes_on_where_it_was(pairs):
    whole = epochs(pairs, 2, step_samples=9, seed=3)
    for workers in (0, 2):
        loader, seen = pairs.loader(9, VIEW, seed=3, workers=workers), []
        for steps in (2, 1, 9):
            for _, numbers in zip(range(steps), iterate(loader), strict=False):
                seen.append(numbers)
        assert seen == whole[0]
        assert list(iterate(loader)) == whole[1]
        loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iteration_ends_when_the_loader_goes_elsewhere(pairs, workers):
    changes = (
        lambda loader: next(iter(loader)),
        lambda loader: loader.load_state_dict(loader.state_dict()),
        lambda loader: loader.set_epoch(4),
        lambda loader: loader.close(),
    )
    loader = pairs.loader(9, VIEW, workers=workers)
    for change in changes:
        batches = iter(loader)
        next(batches)
        change(loader)
        state = loader.state_dict()
        with pytest.raises(RuntimeError, match="one iteration at a time"):
            next(batches)
        assert loader.state_dict() == state
    assert len(next(iter(loader)).keys) == 9
    loader.close()


def test_a_state_of_something_else_is_refused_by_its_word(datasets, pairs, tmp_path):
    state = after(pairs.loader(9, VIEW, seed=3), 2)
    twin = open_dataset(write_pairs(tmp_path, 63, name="twin")).split("train", "pair")
    others = {
        "seed 3, here 4": pairs.loader(9, VIEW, seed=4),
        "samples 63, here 62": pairs[1:].loader(9, VIEW, seed=3),
        "fingerprint .*, here .*": pairs[::-1].loader(9, VIEW, seed=3),
        "fingerprint .*, here .*;": twin.loader(9, VIEW, seed=3),
        "samples 63, here 257": datasets[257].split("train", "pair").loader(9, VIEW, seed=3),
    }
    for words, loader in others.items():
        with pytest.raises(ContractError, match=f"^state of the loader: {words}") as refused:
            loader.load_state_dict(state)
        assert "\n" not in str(refused.value)
        assert loader.state_dict()["position"] == 0
    own = pairs.loader(9, VIEW, seed=3)
    for name in state:
        with pytest.raises(ContractError, match=f"no {name}"):
            own.load_state_dict({key: value for key, value in state.items() if key != name})
    for wrong in ({"position": 64}, {"position": -1}, {"epoch": -1}):
        with pytest.raises(ContractError, match=r"position .* in epoch"):
            own.load_state_dict(state | wrong)
    own.load_state_dict(state)


def test_selections_are_read_like_any_split(datasets):
    split = datasets[257].split("train", "pair")
    even = split.where(lambda columns: ~columns["is_male"])
    chosen = even[10:60]
    for workers in (0, 1):
        found = epochs(chosen, 1, step_samples=10, world_size=2, workers=workers)
        assert sorted(chain(*found[0])) == list(range(20, 120, 2))
    assert list(chain(*epochs(split[::-5], 1, step_samples=7, training=False)[0])) == [
        *range(256, -1, -5)
    ]
    assert epochs(split[:1], 1, step_samples=1) == [[[0]]]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_may_be_kept_as_long_as_one_likes(datasets, workers):
    """771 of them, of which each tensor is still its own, with 1,024 files allowed to be open."""
    loader = datasets[257].split("train", "pair").loader(1, VIEW, workers=workers)
    kept = [batch for _ in range(3) for batch in loader]
    assert open_files() < 500
    numbers = torch.tensor([int(batch.keys[0], 16) for batch in kept])
    assert torch.equal(torch.cat([batch.gap_hours for batch in kept]).long(), numbers)
    assert torch.equal(torch.stack([b.previous.max() for b in kept]).long(), numbers % 256)
    tensors = [batch.gap_hours for batch in kept]  # a single field keeps its memory too
    del kept
    assert len(list(loader)) == 257
    assert torch.equal(torch.cat(tensors).long(), numbers)
    loader.close()
    assert torch.equal(torch.cat(tensors).long(), numbers)


@pytest.mark.parametrize("workers", [0, 1])
def test_memory_and_files_stay_flat(datasets, workers):
    loader = datasets[7].split("train", "pair").loader(3, VIEW, workers=workers)

    def run(epochs):
        for _ in range(epochs):
            for batch in loader:
                del batch
            loader.set_epoch(loader.epoch + 3)
            next(iter(loader))  # an epoch left at once
        return len(loader._pool.made), open_files()

    before = run(20)
    tracemalloc.start()
    run(100)  # till tables of Python's own, which grow in leaps, are as large as they get
    first = tracemalloc.get_traced_memory()[0]
    after = run(200)
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    loader.close()
    assert after == before
    assert grown < 65_536  # 80 bytes a batch
