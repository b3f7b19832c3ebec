-- Which longer bars can be made: all their minutes were answered for and none was dropped, and nobody but the
-- roll-up has answered for the longer bar itself. Gives the places in the arrays, from 1.
-- Parameters: symbols, timeframes text[], opens, ends, minutes_from, minutes_until timestamptz[] (of the bar, and of
-- the minutes that it is made of), rolled_up text. Rides on the primary key.
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
