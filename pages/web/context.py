"""How a view reaches the services, and who is asking."""

from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from pages.config import Config
from pages.services import Services
from pages.tokens import Action, Token


@dataclass(frozen=True)
class User:
    """Who sent the request, and with which token if it was with one, which may do less than its owner.

    A tenant acts only on sites whose ``username`` is its name. ``is_admin``: for everybody's, and for what is nobody's.
    """

    name: str
    is_admin: bool
    token: Token | None = None

    @property
    def tenant(self) -> str | None:
        """Whose sites alone it acts on; None: everybody's."""
        if self.is_admin:
            return None
        return (self.token and self.token.username) or self.name

    @property
    def site(self) -> str | None:
        """The id of the one site of its ``tenant`` that it acts on; None: all of them."""
        return self.token.site if self.token else None

    def may(self, action: Action) -> bool:
        """With a password everything, with a token what that is for."""
        return self.token is None or self.token.may(action)

    def may_act_for(self, username: str, site_id: str | None = None) -> bool:
        """On this site; without ``site_id``: on all of a tenant's, and on one that is not there yet."""
        return self.tenant in (None, username) and self.site in (None, site_id)


def services() -> Services:
    return cast(Services, current_app.extensions["pages"])


def config() -> Config:
    return services().config


def user() -> User:
    """The authenticated user of an API request."""
    return cast(User, g.user)
