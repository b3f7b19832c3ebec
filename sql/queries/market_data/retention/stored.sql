-- How many rows a table has, from when to when.
SELECT count(*) AS row_count, min({time}) AS first, max({time}) AS last FROM market_data.{table}
