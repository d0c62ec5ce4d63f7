INSERT INTO meter_key (meter_id, key_type, version, state, kek_id, nonce, ciphertext)
SELECT meter_id, key_type, version, %(state)s, %(kek_id)s, nonce, ciphertext
FROM unnest(%(meter_id)b::int[], %(key_type)b::text[], %(version)b::int[], %(nonce)b::bytea[], %(ciphertext)b::bytea[])
    AS n (meter_id, key_type, version, nonce, ciphertext)
