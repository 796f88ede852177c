"""Many ranges of bytes at once from a driver of fsspec, with a time limit for each."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cxrfuture_data.signed_files import SignedFiles
from cxrfuture_data.web_files import WebFiles


def cat_ranges(
    files: Any, asked: Sequence[tuple[str, int, int]], requests: int, seconds: float | None
) -> list[bytes | BaseException]:
    """The answer to each (path, start, end), or why there is none; TimeoutError for one that took
    longer than ``seconds``, where the driver can be held to that."""
    if files.async_impl:
        from fsspec.asyn import sync

        return sync(files.loop, _cat_together, files, asked, requests, seconds)

    def cat(path: str, start: int, end: int) -> bytes | BaseException:
        # hf asks for a size it is not told, and reads on unless told not to
        is_web = isinstance(files, WebFiles | SignedFiles)
        how = {"seconds": seconds} if is_web else {"cache_type": "none", "size": end}
        try:
            return files.cat_file(path, start, end, **how)
        except Exception as error:
            return error

    if len(asked) == 1:
        return [cat(*asked[0])]
    with ThreadPoolExecutor(min(requests, len(asked))) as readers:
        return list(readers.map(cat, *zip(*asked, strict=True)))


async def _cat_together(
    files: Any, asked: Sequence[tuple[str, int, int]], requests: int, seconds: float | None
) -> list[bytes | BaseException]:
    """Not fsspec's own, which goes on with what has taken too long."""
    import asyncio

    turns = asyncio.Semaphore(requests)

    async def cat(path: str, start: int, end: int) -> bytes:
        async with turns:
            return await asyncio.wait_for(files._cat_file(path, start=start, end=end), seconds)

    return await asyncio.gather(*(cat(*one) for one in asked), return_exceptions=True)
