"""Films of a batch: read, decoded, augmented in training. (B, 1, s, s) uint8 a role."""

import numpy as np

from cxrfuture_data.augment import AUGMENTATIONS
from cxrfuture_data.columns import Columns
from cxrfuture_data.film_member import level_end
from cxrfuture_data.level import decode_level
from cxrfuture_data.sample import Array, decode_png
from cxrfuture_data.schema import FILM_SUFFIXES, ContractError, FilmsKept
from cxrfuture_data.seed import seed_of
from cxrfuture_data.source import Shards
from cxrfuture_data.tar_member import Member, read_member
from cxrfuture_data.tensor_fields import Job, Shape


class FilmFields:
    """One role's; 0 where there is no film. Of films kept as levels no more is read than asked."""

    def __init__(
        self, role: str, kept: FilmsKept, size: int, columns: Columns, augmentation: str | None
    ) -> None:
        self.role = role
        self.size = size
        self.augmentation = augmentation
        if not size:
            return
        self.name = role + FILM_SUFFIXES[kept]
        self.column = columns.places.members.index(self.name)
        self.sizes = columns.places.size[:, self.column]
        self.levels = columns[f"{role}.levels"] if kept == "levels" else None

    def shapes(self, count: int) -> dict[str, Shape]:
        return {f"{self.role}_film": ((count, 1, self.size, self.size), np.uint8)}

    def fill(self, job: Job, shards: Shards) -> None:
        out: Array = job.out[f"{self.role}_film"]
        for row, (position, key) in enumerate(zip(job.positions.tolist(), job.keys, strict=True)):
            size = int(self.sizes[position])
            if size == 0:
                out[row] = 0
                continue
            member = Member(position, self.column, key + b"." + self.name.encode(), size)
            data = read_member(shards, member, self._prefix(position, member))
            try:
                decode = decode_png if self.levels is None else decode_level
                pixels = decode(data, self.size)
            except (OSError, SyntaxError, ContractError) as error:
                name = f"{shards.name(position)}: {member.name.decode()}"
                raise ContractError(f"{name}: {error}") from None
            if job.draw.training and self.augmentation is not None:
                text = f"{self.role}_film"
                seed = seed_of(job.draw.seed, job.draw.epoch, key, text)
                pixels = AUGMENTATIONS[self.augmentation](pixels, seed)
            out[row, 0] = pixels

    def _prefix(self, position: int, member: Member) -> int | None:
        """The bytes that hold the level asked for."""
        if self.levels is None:
            return None
        ends: dict[int, int] = {int(s): int(end) for s, end in self.levels[position] if s}
        key = member.name.partition(b".")[0].decode()
        return level_end(key, self.role, ends, self.size)
