"""Who may come in: one browser on this machine, by a token that opens once; and what every answer
tells that browser not to do.
"""

import secrets
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "cxrfuture"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SHUT = "this page opens once, by the address that `cxrfuture browse` prints; start it again"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CXRFuture: not open</title>
<meta name="viewport" content="width=device-width">
<style>:root {{ color-scheme: light dark; }} body {{ font: 1.1rem/1.6 system-ui, sans-serif;
max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; }}</style></head>
<body><h1>This page is not open</h1><p>{words}</p></body></html>
"""
_WORDS = (
    "The address that <code>cxrfuture browse</code> prints opens once, in one browser. It was used "
    "already, or is of another run. Start <code>cxrfuture browse</code> again, and open the "
    "address that it prints. If you came by a link on another page just now, "
    '<a href="/">go on here</a>.'
)


class Door:
    """``token`` opens a session once. Sessions live as long as the process."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._token: bytes | None = token.encode()
        self._session = secrets.token_urlsafe(32)
        # A browser sends its cookies to every port: two datasets may be open side by side.
        self.cookie = f"{COOKIE}-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope)
        await (self._app if answer is None else answer)(scope, receive, send_guarded)

    def _answer(self, scope: MutableMapping[str, Any]) -> Response | None:
        """None: come in."""
        headers = Headers(scope=scope)
        if headers.getlist("host") == [] or not set(headers.getlist("host")) <= self._hosts:
            return JSONResponse({"error": "not the address of this page"}, 400)
        if scope["method"] != "GET":
            return JSONResponse({"error": "only GET"}, 405, {"Allow": "GET"})
        is_known = self._is_known(headers)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["path"] == "/" and "token" in query:
            if self._opens(query["token"][-1]):
                return self._let_in()
            if is_known:
                return RedirectResponse("/", 303)
        if is_known:
            return None
        if scope["path"] == "/":
            return HTMLResponse(_PAGE.format(words=_WORDS), 403)
        return JSONResponse({"error": SHUT}, 403)

    def _opens(self, token: str) -> bool:
        """Whether it is the token, which opens nothing after this."""
        if self._token is None or not secrets.compare_digest(token.encode(), self._token):
            return False
        self._token = None
        return True

    def _let_in(self) -> Response:
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self._session, path="/", httponly=True, samesite="strict")
        return answer

    def _is_known(self, headers: Headers) -> bool:
        found = [
            value
            for cookies in headers.getlist("cookie")
            for name, value in cookie_parser(cookies).items()
            if name == self.cookie
        ]
        return any(secrets.compare_digest(v.encode(), self._session.encode()) for v in found)
