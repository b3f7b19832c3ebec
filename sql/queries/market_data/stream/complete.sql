-- The longer bars that can be rolled up: all of their minutes were answered for, none was dropped, and no source other
-- than the roll-up has answered for the longer bar itself. Returns the positions in the arrays, from 1.
-- Parameters: symbols, timeframes text[], opens, ends, minutes_from, minutes_until timestamptz[] (of the bar, and of
-- its minutes), rolled_up text. Uses the primary key.
SELECT number
FROM unnest(%(symbols)s::text[], %(timeframes)s::text[], %(opens)s::timestamptz[], %(ends)s::timestamptz[],
            %(minutes_from)s::timestamptz[], %(minutes_until)s::timestamptz[])
     WITH ORDINALITY AS wanted (symbol, timeframe, opens, ends, minutes_from, minutes_until, number)
WHERE EXISTS (
    SELECT FROM market_data.coverage AS known
    WHERE known.symbol = wanted.symbol AND known.timeframe = '1m'
    HAVING range_agg(known.answered) @> tstzrange(minutes_from, minutes_until)
       AND NOT range_agg(known.expired) && tstzrange(minutes_from, minutes_until))
  AND NOT EXISTS (
    SELECT FROM market_data.coverage AS known
    WHERE known.symbol = wanted.symbol AND known.timeframe = wanted.timeframe AND known.source <> %(rolled_up)s
      AND known.answered && tstzrange(opens, ends))
ORDER BY number
