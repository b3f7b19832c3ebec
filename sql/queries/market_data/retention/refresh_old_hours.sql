-- With TimescaleDB: stores the hours that the refresh of the continuous aggregate must leave alone. Returns where that
-- refresh begins and ends.
-- Parameters: present timestamptz.
SELECT market_data.refresh_old_hours(%(present)s), date_trunc('hour', %(present)s - interval '1 hour', 'UTC')
