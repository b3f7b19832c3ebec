"""What the bot's agents import: ``from trading_platform.client import Platform``."""

from trading_platform.client.platform import Platform

__all__ = ["Platform"]
