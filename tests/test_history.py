"""The history encoder: what is padded never changes what is real."""

import pytest
import torch

from cxrfuture_data.hourly import COLUMNS
from train.model.history import History, positions
from train.settings import HistorySettings

SETTINGS = HistorySettings(width=16, feedforward=32, heads=2, layers=1, dropout=0.2)
LENGTHS = (0, 1, 5, 90)  # a window without hours, and one beyond the published table of 71


@pytest.fixture(scope="module")
def history():
    torch.manual_seed(0)
    return History(SETTINGS)


def record(length):
    return torch.randn(1, length, COLUMNS, generator=torch.Generator().manual_seed(length))


def pad(lengths, value=0.0):
    hours = torch.full((len(lengths), max(lengths), COLUMNS), value)
    is_hour = torch.zeros(len(lengths), max(lengths), dtype=torch.bool)
    for row, length in enumerate(lengths):
        hours[row, :length] = record(length)[0]
        is_hour[row, :length] = True
    return hours, is_hour


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_sample_gets_the_same_tokens_alone_and_in_a_batch(length, training):
    """Holds in training too (without dropout): no statistic is taken over a batch."""
    torch.manual_seed(0)
    model = History(SETTINGS.model_copy(update={"dropout": 0.0})).train(training)
    hours, is_hour = pad(LENGTHS)
    together, is_token = model(hours, is_hour)
    alone, _ = model(record(length), torch.ones(1, length, dtype=torch.bool))
    row = LENGTHS.index(length)
    assert is_token[row].sum() == 1 + length
    assert torch.allclose(together[row, : 1 + length], alone[0], atol=1e-5)


def test_what_stands_in_the_padding_changes_nothing(history):
    history.eval()
    zeros, _ = history(*pad((2, 6)))
    sevens, _ = history(*pad((2, 6), value=7.0))
    assert torch.equal(zeros[0, :3], sevens[0, :3])


def test_the_first_token_is_always_real(history):
    _, is_token = history(*pad((0, 2)))
    assert is_token.tolist() == [[True, False, False], [True, True, True]]


def test_positions_are_sines_and_cosines():
    table = positions(3, 4)
    assert table[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    one, hundredth = torch.tensor(1.0), torch.tensor(0.01)
    expected = torch.stack([one.sin(), one.cos(), hundredth.sin(), hundredth.cos()])
    assert torch.allclose(table[1], expected)


def test_the_published_size_has_the_published_number_of_parameters():
    """142,848 with the BatchNorm's two affine layers, which LayerNorm has as well (8.2)."""
    settings = HistorySettings(width=128, feedforward=256, heads=8, layers=1, dropout=0.2)
    assert sum(weight.numel() for weight in History(settings).parameters()) == 142_848
