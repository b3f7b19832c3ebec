-- The longer bars that can be rolled up: all of their minutes were answered for, none was dropped, and no source other
-- than the roll-up has answered for the longer bar itself. Returns the positions in the arrays, from 1.
-- Parameters: symbols, timeframes text[], opens, ends timestamptz[] (of the bar), minutes text[] (multiranges of its
-- minutes), rolled_up text. Uses the primary key.
SELECT number
FROM unnest(%(symbols)s::text[], %(timeframes)s::text[], %(opens)s::timestamptz[], %(ends)s::timestamptz[],
            %(minutes)s::text[])
     WITH ORDINALITY AS wanted (symbol, timeframe, opens, ends, minutes, number)
WHERE EXISTS (
    SELECT FROM market_data.coverage AS known
    WHERE known.symbol = wanted.symbol AND known.timeframe = '1m'
    HAVING range_agg(known.answered) @> wanted.minutes::tstzmultirange
       AND NOT range_agg(known.expired) && wanted.minutes::tstzmultirange)
  AND NOT EXISTS (
    SELECT FROM market_data.coverage AS known
    WHERE known.symbol = wanted.symbol AND known.timeframe = wanted.timeframe AND known.source <> %(rolled_up)s
      AND known.answered && tstzrange(opens, ends))
ORDER BY number
