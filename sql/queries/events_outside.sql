-- Whether a row of a time range lies outside two ids.
SELECT (%(from_ts)s::timestamptz IS NOT NULL AND EXISTS (
          SELECT FROM events WHERE id < %(low)s AND ts >= %(from_ts)s AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)))
    OR (%(to_ts)s::timestamptz IS NOT NULL AND EXISTS (
          SELECT FROM events WHERE id > %(high)s AND ts <= %(to_ts)s AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)))
