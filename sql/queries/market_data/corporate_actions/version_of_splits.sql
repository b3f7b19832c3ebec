-- What differs whenever a split was stored, changed or removed.
SELECT count(*) || ' splits, changed ' || coalesce(max(changed_at)::text, 'never')
FROM market_data.corporate_actions
WHERE kind = 'split'
