"""The client for the bot's agents: ``from trading_platform.client import Platform``."""

from trading_platform.client.platform import Platform

__all__ = ["Platform"]
