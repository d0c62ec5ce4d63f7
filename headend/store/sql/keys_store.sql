INSERT INTO meter_key (meter_id, key_type, version, state, kek_id, nonce, ciphertext)
SELECT meter_id, key_type, version, %(state)s, %(kek_id)s, nonce, ciphertext
FROM unnest(%(meter_id)s::int[], %(key_type)s::text[], %(version)s::int[], %(nonce)s::bytea[], %(ciphertext)s::bytea[])
    AS n (meter_id, key_type, version, nonce, ciphertext)
