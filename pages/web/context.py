"""How a view reaches the services, and who is asking."""

from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from pages.config import Config
from pages.services import Services


@dataclass(frozen=True)
class User:
    """Who sent the request. A tenant acts only on sites whose ``username`` is its name."""

    name: str
    is_admin: bool

    def may_act_for(self, username: str) -> bool:
        return self.is_admin or username == self.name


def services() -> Services:
    return cast(Services, current_app.extensions["pages"])


def config() -> Config:
    return services().config


def user() -> User:
    """The authenticated user of an API request."""
    return cast(User, g.user)
