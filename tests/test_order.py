from collections import Counter

import numpy as np
import pytest

from cxrfuture_data.order import Order, epoch_order

GRID = [
    (count, batch_size, ranks)
    for count in (0, 1, 7, 64, 65)
    for batch_size in (1, 4)
    for ranks in (1, 2, 3, 8)
]


def read(count, batch_size, ranks, *, drop_last, shuffle=True):
    """Per rank: a list of (positions, is_padding)."""
    positions = epoch_order(count, seed=7, epoch=3, shuffle=shuffle)
    orders = [
        Order(count=count, batch_size=batch_size, rank=r, ranks=ranks, drop_last=drop_last)
        for r in range(ranks)
    ]
    return [[order.step(i, positions) for i in range(order.steps)] for order in orders]


@pytest.mark.parametrize(("count", "batch_size", "ranks"), GRID)
def test_training_gives_every_rank_as_many_full_batches_and_no_sample_twice(
    count, batch_size, ranks
):
    found = read(count, batch_size, ranks, drop_last=True)
    assert {len(steps) for steps in found} == {count // (batch_size * ranks)}
    seen = [int(p) for steps in found for step in steps for p in step.positions]
    assert len(seen) == len(set(seen)) == count // (batch_size * ranks) * batch_size * ranks
    assert not any(step.is_padding.any() for steps in found for step in steps)


@pytest.mark.parametrize(("count", "batch_size", "ranks"), GRID)
def test_evaluation_gives_every_sample_exactly_once(count, batch_size, ranks):
    found = read(count, batch_size, ranks, drop_last=False)
    assert len({len(steps) for steps in found}) == 1
    assert all(len(step.positions) == batch_size for steps in found for step in steps)
    real = [int(p) for steps in found for step in steps for p in step.positions[~step.is_padding]]
    assert Counter(real) == Counter(range(count))


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_global_step_holds_the_same_samples_on_any_number_of_ranks(ranks):
    alone = read(64, 8, 1, drop_last=True)[0]
    together = read(64, 8 // ranks, ranks, drop_last=True)
    for number, step in enumerate(alone):
        parts = [steps[number].positions for steps in together]
        assert np.concatenate(parts).tolist() == step.positions.tolist()


def test_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    first = epoch_order(64, seed=1, epoch=0, shuffle=True)
    assert sorted(first.tolist()) == list(range(64))
    assert first.tolist() == epoch_order(64, seed=1, epoch=0, shuffle=True).tolist()
    assert first.tolist() != epoch_order(64, seed=1, epoch=1, shuffle=True).tolist()
    assert first.tolist() != epoch_order(64, seed=2, epoch=0, shuffle=True).tolist()
    assert epoch_order(3, seed=1, epoch=9, shuffle=False).tolist() == [0, 1, 2]


@pytest.mark.parametrize("change", [{"rank": 2}, {"rank": -1}, {"batch_size": 0}, {"count": -1}])
def test_impossible_orders_are_refused(change):
    fields = {"count": 8, "batch_size": 2, "rank": 0, "ranks": 2, "drop_last": True}
    with pytest.raises(ValueError, match=r"rank|count"):
        Order(**fields | change)
