-- For each waiting row whose id was taken: is it the same row? (id, same)
SELECT waiting.id,
       coalesce(there.type = waiting.type AND there.source IS NOT DISTINCT FROM waiting.source
                AND there.ts IS NOT DISTINCT FROM waiting.ts AND there.payload = waiting.payload, false)
FROM orchestrator_staging AS waiting LEFT JOIN events AS there USING (id)
WHERE waiting.id <> ALL (%(stored)s)
ORDER BY waiting.id
