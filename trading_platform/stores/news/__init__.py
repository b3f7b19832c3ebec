"""The schema ``news``: articles, their versions, links and sentiment, and the feeds."""
