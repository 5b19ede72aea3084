"""All methods of the sandbox; others are ``unknown_method``."""

from __future__ import annotations

from bot.sandbox.methods import agents, chat, conversations, people, streaming, views
from bot.sandbox.methods.call import Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (agents, chat, conversations, people, streaming, views)
    for method in module.METHODS
}
