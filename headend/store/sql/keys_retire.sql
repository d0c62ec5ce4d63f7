UPDATE meter_key k SET state = 'retired'
FROM unnest(%(meter_id)b::int[], %(key_type)b::text[]) AS n (meter_id, key_type)
WHERE k.meter_id = n.meter_id AND k.key_type = n.key_type AND k.state = %(state)s
