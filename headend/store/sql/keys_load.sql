SELECT id, meter_id, key_type, version, kek_id, nonce, ciphertext
FROM meter_key
WHERE meter_id = ANY (%(meters)b::int[]) AND state = %(state)s
