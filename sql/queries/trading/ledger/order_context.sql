-- What a plan of an order shows besides: steps of the instrument, the newest price, what is held, and the limits.
SELECT instrument.tick_size, instrument.lot_size, trading.newest_price(%(symbol)s) AS newest_price,
    COALESCE((SELECT quantity FROM trading.positions WHERE symbol = %(symbol)s), 0) AS held,
    (SELECT COALESCE(json_object_agg(key, trim_scale(value)::text ORDER BY key), '{}'::json) FROM config.risk_limits)
        AS limits
FROM (SELECT) AS one
LEFT JOIN config.instruments AS instrument ON instrument.symbol = %(symbol)s
