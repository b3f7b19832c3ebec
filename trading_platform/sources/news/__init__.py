"""Sources of news: RSS and Atom feeds, NewsAPI, and files of a user's own."""
