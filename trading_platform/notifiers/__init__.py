"""Ways to people: Telegram, whatever ``apprise`` knows, and the heartbeat. What they send is written in workflows."""
