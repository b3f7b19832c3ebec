-- Before bars change, in the same transaction: records which hours are to be refreshed and what has been dropped, as far
-- as the database does not do so by itself (sql/migrations/versions/0014_hours_by_symbol.sql).
-- Parameters: timeframe text, symbols text[], firsts, lasts timestamptz[] (of the bars that change), side by side.
SELECT market_data.note_change(%(timeframe)s, %(symbols)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[])
