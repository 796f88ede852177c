"""The addresses of `cxrfuture browse`, and what each answers. All are GET; docs/browse.md lists
them.

An error is ``{"error": one line}``, and the server goes on.
"""

import io
from pathlib import Path
from typing import Any, cast

import bokeh
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cxrfuture_data.browse import sample_facts, window_facts
from cxrfuture_data.browse.catalogue import Catalogue
from cxrfuture_data.browse.chart import COLOURS, Theme
from cxrfuture_data.browse.hourly_chart import draw_hourly
from cxrfuture_data.browse.problem import BAD_REQUEST, BROKEN, NOT_FOUND, Problem, broken
from cxrfuture_data.browse.reader import Reader
from cxrfuture_data.browse.timeline import draw_timeline
from cxrfuture_data.picture import headline
from cxrfuture_data.sample import Array, PairSample, Sample, StaySample
from cxrfuture_data.schema import FILMS_OF_KIND, ContractError

HERE = Path(__file__).parent
BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
MOST_ROWS = 1000


def make_app(catalogue: Catalogue) -> Starlette:
    """Without its door (door.py)."""
    pages = _Pages(catalogue)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/bokeh/bokeh.min.js", pages.bokeh),
            Route("/api/dataset", pages.dataset),
            Route("/api/samples", pages.samples),
            Route("/api/position", pages.position),
            Route("/api/sample/{split}/{kind}/{key}", pages.sample),
            Route("/film/{split}/{kind}/{key}/{role}.png", pages.film),
            Route("/chart/{split}/{kind}/{key}/{chart}", pages.chart),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={
            HTTPException: _refuse,
            ContractError: _explain,
            OSError: _explain,
        },
    )


class _Pages:
    """Methods run in threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def index(self, request: Request) -> Response:
        return FileResponse(HERE / "templates" / "index.html", media_type="text/html")

    def bokeh(self, request: Request) -> Response:
        return FileResponse(BOKEH, media_type="text/javascript")

    def dataset(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.facts)

    def samples(self, request: Request) -> Response:
        reader = self._reader(request.query_params)
        order = self._order(request, reader)
        first = _number(request, "offset", 0)
        limit = min(_number(request, "limit", 100), MOST_ROWS)
        listing = reader.listing
        names = [column.name for column in listing.columns.values() if column.is_listed]
        asked = [name for name in request.query_params.get("show", "").split(",") if name]
        names = list(dict.fromkeys([*names, *(listing.column(name).name for name in asked)]))
        rows = [
            {"position": first + row, "key": listing.key(at)}
            | {name: listing.value(name, at) for name in names}
            for row, at in enumerate(order[first : first + limit].tolist())
        ]
        return JSONResponse({"total": listing.samples, "matching": len(order), "rows": rows})

    def position(self, request: Request) -> Response:
        reader = self._reader(request.query_params)
        order = self._order(request, reader)
        at = reader.listing.find(request.query_params.get("key", ""))
        found = (order == at).nonzero()[0].tolist()
        keys: list[str | None] = [None, None]
        if found:
            around = (found[0] - 1, found[0] + 1)
            keys = [reader.listing.key(order[i]) if 0 <= i < len(order) else None for i in around]
        return JSONResponse(
            {
                "position": found[0] if found else None,
                "matching": len(order),
                "previous_key": keys[0],
                "next_key": keys[1],
            }
        )

    def sample(self, request: Request) -> Response:
        reader, at = self._find(request)
        sample, drawn = reader.sample(at), self._catalogue.drawn
        films = sample_facts.films(sample, reader, at)
        facts: dict[str, Any] = {
            "key": sample.key,
            "shard": reader.shard(at),
            "headline": headline(sample),
            "films": [*films, *drawn.films(reader.split, reader.kind, sample.key)],
            "demographics": sample_facts.demographics(sample),
            "labels": sample_facts.labels(sample, _changes(reader, at)),
            "attributes": sample_facts.attributes(sample),
            "outcomes": sample_facts.outcomes(sample),
            "scores": drawn.scores(reader.split, reader.kind, sample.key),
            "provenance": sample_facts.provenance(reader, at),
            "ids": sample_facts.ids(sample),
        }
        return JSONResponse(facts | self._window(request, reader, at, sample))

    def film(self, request: Request) -> Response:
        reader, at = self._find(request)
        role = request.path_params["role"]
        if role in FILMS_OF_KIND[reader.kind]:
            size = _number(request, "size", 0)
            return _png(reader.pixels(at, role, size or None))
        key = reader.listing.key(at)
        return _png(self._catalogue.drawn.pixels(reader.split, reader.kind, key, role))

    def chart(self, request: Request) -> Response:
        reader, at = self._find(request)
        theme, chart = request.query_params.get("theme", "light"), request.path_params["chart"]
        if theme not in COLOURS:
            raise Problem(BAD_REQUEST, f"theme {theme!r}; it is light or dark")
        if chart not in ("timeline", "hourly"):
            raise Problem(NOT_FOUND, f"no chart {chart!r}; there are timeline and hourly")
        sample = reader.sample(at)
        if not isinstance(sample, PairSample | StaySample):
            raise Problem(NOT_FOUND, f"an {reader.kind} has no window, and no chart of it")
        clock = window_facts.read_clock(sample)
        if chart == "timeline":
            events = self._events(request, reader, at, sample)
            return JSONResponse(draw_timeline(events, clock, cast(Theme, theme)))
        hourly = window_facts.hourly(sample, reader.dataset)
        return JSONResponse(draw_hourly(hourly, clock, cast(Theme, theme)))

    def _window(self, request: Request, reader: Reader, at: int, sample: Sample) -> dict[str, Any]:
        """Of a film alone, nothing in the same places."""
        if not isinstance(sample, PairSample | StaySample):
            return {
                "window": None,
                "events_total": 0,
                "events": [],
                "event_tables": {},
                "hourly": [],
            }
        return {
            "window": window_facts.window_facts(sample),
            "events_total": len(sample.window.event_row),
            "events": self._events(request, reader, at, sample),
            "event_tables": window_facts.event_tables(sample.window),
            "hourly": window_facts.hourly(sample, reader.dataset),
        }

    def _events(
        self, request: Request, reader: Reader, at: int, sample: PairSample | StaySample
    ) -> list[dict[str, Any]]:
        first = _number(request, "events_from", 0)
        limit = _number(request, "events_limit", window_facts.MOST_EVENTS)
        try:
            return window_facts.events(sample, self._catalogue.texts, first=first, limit=limit)
        except (ContractError, OSError) as error:
            raise broken(reader.shard(at), sample.key, error) from None

    def _reader(self, names: Any) -> Reader:
        return self._catalogue.reader(names.get("split", "train"), names.get("kind", "pair"))

    def _find(self, request: Request) -> tuple[Reader, int]:
        reader = self._reader(request.path_params)
        return reader, reader.listing.find(request.path_params["key"])

    def _order(self, request: Request, reader: Reader) -> Any:
        where, find, sort = (
            request.query_params.get(name, "") for name in ("where", "find", "sort")
        )
        return self._catalogue.order(reader, where, find, sort)


def _changes(reader: Reader, at: int) -> dict[str, str]:
    """The change of each finding of a pair."""
    names = [name for name in reader.listing.columns if name.startswith("change.")]
    return {name.partition(".")[2]: str(reader.listing.value(name, at)) for name in names}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise Problem(BAD_REQUEST, f"{name} {text!r}; give a whole number from 0")
    return int(text)


def _png(pixels: Array) -> Response:
    """Grey, lossless; packed lightly, as it goes no further than this machine."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return Response(stream.getvalue(), media_type="image/png")


def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else NOT_FOUND
    return JSONResponse({"error": f"no page {request.url.path}"}, status)


def _explain(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Problem) else BROKEN
    return JSONResponse({"error": " ".join(str(error).split())}, status)
