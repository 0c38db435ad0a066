-- The fast path. The order of columns is that of copy_row.
COPY events (id, type, source, ts, payload) FROM STDIN
