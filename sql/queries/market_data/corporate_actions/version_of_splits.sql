-- A text that changes whenever a split is stored, changed or deleted.
SELECT count(*) || ' splits, changed ' || coalesce(max(changed_at)::text, 'never')
FROM market_data.corporate_actions
WHERE kind = 'split'
