-- Marks one bar. Its time is a parameter and not read by the same statement: without a constant bound on time,
-- TimescaleDB decompresses all bars of the symbol before it looks for the one.
-- Parameters: symbol text, time timestamptz, quality text, recorded_at timestamptz. Uses the primary key.
UPDATE {table} SET quality = %(quality)s, recorded_at = %(recorded_at)s WHERE symbol = %(symbol)s AND time = %(time)s
