-- Keys of a meter by type and version, and the counters under each; of the keys themselves nothing.
SELECT k.key_type, k.version, k.state, k.kek_id, c.system_title,
       c.system_title = u.client_system_title AS ours, c.highest, c.alarm
FROM meter_key k
CROSS JOIN utility u
LEFT JOIN invocation_counter c ON c.meter_key_id = k.id
WHERE k.meter_id = %(meter)s
ORDER BY k.key_type, k.version DESC, c.system_title
