"""The hourly record -> one state of a stay: an LSTM, or the tokens of a Transformer pooled.

The Transformer is ``train/model/history.py: History``: as it stands the time-series Transformer of
DDL-CXR's prediction stage (specs ddl-cxr 9), but for the BatchNorm over batch and time and for
padding that was not masked, neither of which is kept.

Shapes: B stays; T hours, F columns; D the width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.settings import HistorySettings, Positive, Share


class TransformerSettings(HistorySettings):
    encoder: Literal["transformer"]


class LstmSettings(Settings):
    encoder: Literal["lstm"]
    width: Positive
    dropout: Share  # on the last state


class LstmRecord(nn.Module):
    """Two LSTMs of one layer, one on the other (specs fusion-baselines 6).

    MMTM and DAFT change the sequence between them; the others call the module itself.
    """

    def __init__(self, settings: LstmSettings, columns: int) -> None:
        """``columns``: F."""
        super().__init__()
        self.first = nn.LSTM(columns, settings.width, batch_first=True)
        self.second = nn.LSTM(settings.width, settings.width, batch_first=True)
        self.dropout = nn.Dropout(settings.dropout)
        for lstm in (self.first, self.second):
            for name, weight in lstm.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weight)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weight)
                else:
                    nn.init.zeros_(weight)

    def forward(self, hours: Tensor, is_hour: Tensor) -> Tensor:
        """hours (B, T, F), is_hour (B, T) -> (B, D)."""
        return self.finish(self.begin(hours, is_hour), is_hour)

    def begin(self, hours: Tensor, is_hour: Tensor) -> Tensor:
        """What the first LSTM makes of each hour (B, T, D): 0 beyond a stay's own."""
        sequence, _ = self.first(hours)  # (B, T, D)
        return torch.where(is_hour[..., None], sequence, 0.0)

    def finish(self, sequence: Tensor, is_hour: Tensor) -> Tensor:
        """(B, T, D) -> the second LSTM's state after a stay's last hour (B, D), after dropout."""
        states, _ = self.second(sequence)  # (B, T, D)
        return self.dropout(last_state(states, is_hour.sum(1)))


def last_state(states: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D) after each step, lengths (B,) -> (B, D): that of the last; 0 where there is none.

    An LSTM reads forward, so this is what packed sequences give, without a trip to the CPU.
    """
    last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])  # (B, 1, D)
    return torch.where(lengths[:, None] > 0, states.gather(1, last)[:, 0], 0.0)


def mean_of_tokens(tokens: Tensor, is_token: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, D): over those that are real; 0 where there is none."""
    real = torch.where(is_token[..., None], tokens, 0.0)
    return real.sum(1) / is_token.sum(1, keepdim=True).clamp(min=1)


def mean_of_hours(sequence: Tensor, is_hour: Tensor, *, counts_padding: bool) -> Tensor:
    """(B, T, D), 0 where no hour is, -> (B, D). As published padding is counted, so that a stay's
    mean depends on the longest of its batch (specs fusion-baselines 16b, D6)."""
    return sequence.mean(1) if counts_padding else mean_of_tokens(sequence, is_hour)
