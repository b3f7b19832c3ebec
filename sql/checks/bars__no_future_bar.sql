-- Bars with an interval that has not ended: bars of calendars[i] are final before final_before[i]; for an instrument
-- outside the universe the current time decides.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz, earliest (the minimum of final_before), present timestamptz,
-- calendars text[], final_before timestamptz[]. Uses the primary key, which leads with time.
SELECT bar.symbol, bar.time, format('not over before %%s', coalesce(final.before, %(present)s::timestamptz)) AS detail
FROM {table} AS bar
LEFT JOIN config.instruments AS instrument ON instrument.symbol = bar.symbol
LEFT JOIN unnest(%(calendars)s::text[], %(final_before)s::timestamptz[]) AS final (calendar, before)
       ON final.calendar = instrument.calendar
WHERE (%(symbols)s::varchar[] IS NULL OR bar.symbol = ANY(%(symbols)s::varchar[]))
  AND bar.time >= %(start)s AND bar.time < %(end)s
  AND bar.time >= %(earliest)s
  AND bar.time >= coalesce(final.before, %(present)s::timestamptz)
