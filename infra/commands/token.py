"""`chat token`: a token for trying the service."""

import json

import click

from infra.settings import load_settings
from infra.tokens import sign_token
from schemas.ids import MAX_ID


@click.command()
@click.option("--user", type=click.IntRange(1, MAX_ID), required=True, help="The user's id.")
@click.option("--service", is_flag=True, help="A back end's token, which acts for any user.")
@click.option("--ttl", type=click.IntRange(1), default=86_400, show_default=True, help="Seconds that it is good for.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def token(user: int, *, service: bool, ttl: int, as_json: bool) -> None:
    """Print a token for a user, signed with the service's secret."""
    signed = sign_token(load_settings(), user, service=service, seconds=ttl)
    click.echo(json.dumps({"token": signed, "user_id": user, "expires_in": ttl}) if as_json else signed)
