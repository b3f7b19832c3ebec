-- Number of rows of a table, first and last time.
SELECT count(*) AS row_count, min({time}) AS first, max({time}) AS last FROM market_data.{table}
