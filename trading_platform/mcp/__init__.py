"""The agents' door: an MCP server over :class:`trading_platform.client.platform.Platform`; it has no other access."""
