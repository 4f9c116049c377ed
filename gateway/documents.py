"""What describes the service to programs and people: `/openapi.json`, `/asyncapi.json`, `/docs`; without a token."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from command_api.http import answer
from schemas.documents.asyncapi import asyncapi
from schemas.documents.openapi import openapi
from schemas.documents.page import page


def routes() -> list[Route]:
    """Return the routes, ready to be mounted."""
    return [Route("/openapi.json", _openapi), Route("/asyncapi.json", _asyncapi), Route("/docs", _page)]


async def _openapi(_: Request) -> Response:
    return answer(openapi())


async def _asyncapi(_: Request) -> Response:
    return answer(asyncapi())


async def _page(_: Request) -> Response:
    return HTMLResponse(page())
