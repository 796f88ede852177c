"""Laws of the order, over grids; `tests/test_loader_laws.py` has them of real loaders."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from cxrfuture_data.order import BLOCK_SAMPLES, Order, block_numbers, epoch_order, window_starts

COUNTS = (0, 1, 2, 7, 63, 64, 65, 257)
RANKS = range(1, 10)
BATCHES = (1, 3, 16, 64)
# Ranks, batch size: those of a row give the same global batch.
SAME_STEP = [[(1, 4), (2, 2), (4, 1)], [(1, 18), (2, 9), (6, 3), (9, 2)], [(1, 64), (8, 8)]]


def order_of(count, epoch=3, seed=7, window=8192):
    """Of samples in shards of 20."""
    blocks = block_numbers(np.arange(count, dtype=np.int32) // 20)
    return epoch_order(blocks, seed=seed, epoch=epoch, window=window)


def read(positions, ranks, batch_size, *, drop_last, start=0):
    """Per rank: its steps."""
    orders = [
        Order(
            count=len(positions),
            batch_size=batch_size,
            rank=rank,
            ranks=ranks,
            drop_last=drop_last,
            start=start,
        )
        for rank in range(ranks)
    ]
    return [[order.step(number, positions) for number in range(order.steps)] for order in orders]


def global_steps(found):
    """Of each step the samples of all ranks, in their order, without padding."""
    return [
        [int(p) for step in steps for p in step.positions[~step.is_padding]]
        for steps in zip(*found, strict=True)
    ]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ranks", RANKS)
def test_training_gives_every_rank_as_many_full_batches_and_no_sample_twice(count, ranks):
    positions = order_of(count)
    for batch_size in BATCHES:
        found = read(positions, ranks, batch_size, drop_last=True)
        steps = global_steps(found)
        assert len(steps) == count // (batch_size * ranks)
        assert all(len(step) == batch_size * ranks for step in steps)
        assert list(chain(*steps)) == positions[: len(steps) * batch_size * ranks].tolist()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ranks", RANKS)
def test_evaluation_gives_every_sample_exactly_once(count, ranks):
    for batch_size in BATCHES:
        found = read(np.arange(count), ranks, batch_size, drop_last=False)
        assert all(len(step.positions) == batch_size for steps in found for step in steps)
        assert list(chain(*global_steps(found))) == list(range(count))


def test_fewer_samples_than_ranks_give_as_many_steps_to_all():
    for ranks in RANKS:
        found = read(np.arange(1), ranks, 1, drop_last=False)
        assert [len(steps) for steps in found] == [1] * ranks
        assert [bool(steps[0].is_padding[0]) for steps in found] == [False] + [True] * (ranks - 1)
        trained = read(np.arange(ranks - 1), ranks, 1, drop_last=True)
        assert [len(steps) for steps in trained] == [0] * ranks


@pytest.mark.parametrize("splits", SAME_STEP)
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_global_step_holds_the_same_samples_on_any_number_of_ranks(splits, drop_last):
    for count in COUNTS:
        positions = order_of(count)
        found = [
            global_steps(read(positions, ranks, batch_size, drop_last=drop_last))
            for ranks, batch_size in splits
        ]
        assert all(steps == found[0] for steps in found)


@pytest.mark.parametrize("splits", SAME_STEP)
@pytest.mark.parametrize("drop_last", [True, False])
def test_from_any_step_the_rest_is_the_rest_on_any_number_of_ranks(splits, drop_last):
    whole_step = splits[0][0] * splits[0][1]
    for count in (7, 65, 257):
        positions = order_of(count)
        whole = global_steps(read(positions, *splits[0], drop_last=drop_last))
        for number in range(len(whole) + 1):
            for ranks, batch_size in splits:
                start = min(number * whole_step, count)
                rest = read(positions, ranks, batch_size, drop_last=drop_last, start=start)
                assert global_steps(rest) == whole[number:]


def test_from_any_position_whatever_the_batch_every_other_sample_comes_once():
    positions = order_of(65)
    for start in range(66):
        for ranks, batch_size in ((1, 1), (1, 16), (3, 4), (9, 64)):
            rest = read(positions, ranks, batch_size, drop_last=False, start=start)
            assert list(chain(*global_steps(rest))) == positions[start:].tolist()


def test_blocks_lie_within_shards():
    shard = np.repeat(np.array([4, 0, 2], np.int32), [BLOCK_SAMPLES + 1, 2, 2 * BLOCK_SAMPLES])
    blocks = block_numbers(shard)
    assert Counter(blocks.tolist()) == {0: 64, 1: 1, 2: 2, 3: 64, 4: 64}
    assert (np.diff(blocks) >= 0).all()
    assert block_numbers(np.zeros(0, np.int32)).tolist() == []
    assert block_numbers(np.zeros(1, np.int32)).tolist() == [0]


@pytest.mark.parametrize("count", COUNTS)
def test_an_epoch_is_a_permutation_that_seed_and_epoch_alone_decide(count):
    for window in (1, 20, 64, 8192):
        found = order_of(count, window=window)
        assert sorted(found.tolist()) == list(range(count))
        assert found.tolist() == order_of(count, window=window).tolist()
        if count >= 63:
            assert found.tolist() != order_of(count, window=window, epoch=4).tolist()
            assert found.tolist() != order_of(count, window=window, seed=8).tolist()


def test_seed_and_epoch_are_not_added_up():
    assert order_of(63, seed=1, epoch=2).tolist() != order_of(63, seed=2, epoch=1).tolist()


def test_a_window_holds_whole_blocks():
    """Twelve blocks of 20 samples, three to a window of 60."""
    blocks = block_numbers(np.arange(240, dtype=np.int32) // 20)
    for epoch in range(5):
        found = blocks[epoch_order(blocks, seed=0, epoch=epoch, window=60)].reshape(4, 60)
        held = [Counter(window.tolist()) for window in found]
        assert all(set(window.values()) == {20} and len(window) == 3 for window in held)
        assert set().union(*held) == set(range(12))


@pytest.mark.parametrize("window", [1, 10, 50, 100])
def test_samples_of_a_block_come_within_a_window_and_a_block(window):
    """So of a shard far away no more than that is waited for, however uneven the blocks are."""
    sizes = np.random.default_rng(0).integers(1, 40, 30)
    blocks = np.repeat(np.arange(30), sizes)
    found = blocks[epoch_order(blocks, seed=0, epoch=0, window=window)]
    for block in range(30):
        places = np.flatnonzero(found == block)
        assert places[-1] - places[0] < window + 39


def test_as_many_samples_as_a_window_are_one_shuffle_of_all():
    """What block a sample lies in then makes no difference."""
    alone = np.arange(257)
    together = np.zeros(257, np.int64)
    first = epoch_order(alone, seed=1, epoch=0, window=257)
    assert first.tolist() == epoch_order(together, seed=1, epoch=0, window=257).tolist()


def test_the_first_batch_comes_from_nearly_as_many_shards_as_chance_gives():
    """64 draws among 64 shards meet 64 (1 - (63 / 64) ** 64) = 40.6 of them; the standard deviation
    of a mean of 50 epochs is below 0.5. Of a window of 8 blocks they meet those 8."""
    shard = np.repeat(np.arange(64, dtype=np.int32), 64)
    blocks = block_numbers(shard)

    def met(window):
        orders = [
            epoch_order(blocks, seed=0, epoch=e, window=window, first_window=window)
            for e in range(50)
        ]
        return np.mean([len(np.unique(shard[order[:64]])) for order in orders])

    assert abs(met(8192) - 40.6) < 2
    assert 7.5 < met(512) <= 8


def test_windows_grow_from_the_first():
    assert window_starts(20_000, 512, 8192).tolist() == [0, 512, 1536, 3584, 7680, 15872]
    assert window_starts(512, 512, 8192).tolist() == [0]
    assert window_starts(0, 512, 8192).tolist() == [0]
    blocks = block_numbers(np.repeat(np.arange(5, dtype=np.int32), 64))
    found = blocks[epoch_order(blocks, seed=3, epoch=0, window=128, first_window=64)]
    assert [len(set(found[a:b].tolist())) for a, b in ((0, 64), (64, 192), (192, 320))] == [1, 2, 2]


def test_every_sample_comes_early_as_often_as_late():
    """A place is 31.5 on the mean, with a standard deviation of 18.5: of 400 epochs' mean 0.92."""
    orders = [order_of(64, epoch=epoch) for epoch in range(400)]
    places = np.mean([np.argsort(order) for order in orders], axis=0)
    assert np.abs(places - 31.5).max() < 5.4


def test_the_order_of_an_epoch_never_changes_between_versions():
    """Frozen: who resumes a run with a newer version must see what is left, and nothing twice."""
    blocks = np.arange(8) // 2
    assert epoch_order(blocks, seed=0, epoch=0, window=8).tolist() == [4, 5, 3, 2, 6, 0, 1, 7]
    assert epoch_order(blocks, seed=0, epoch=1, window=8).tolist() == [3, 7, 6, 0, 5, 4, 2, 1]
    assert epoch_order(blocks, seed=5, epoch=0, window=4).tolist() == [2, 0, 1, 3, 5, 6, 7, 4]


@pytest.mark.parametrize(
    "change", [{"rank": 2}, {"rank": -1}, {"batch_size": 0}, {"count": -1}, {"start": -1}]
)
def test_impossible_orders_are_refused(change):
    fields = {"count": 8, "batch_size": 2, "rank": 0, "ranks": 2, "drop_last": True}
    with pytest.raises(ValueError, match=r"rank|count|start"):
        Order(**fields | change)
