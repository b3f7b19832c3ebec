"""Files of bars, of vendors and of Kraken's archives, into the landing area or the database."""
