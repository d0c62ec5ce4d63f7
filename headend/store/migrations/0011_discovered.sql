-- Senders of pushes that nobody has registered, each with its first message; and what meters that push are found by.

CREATE TABLE discovered_meter (
    sender        text PRIMARY KEY,
    system_title  bytea CHECK (octet_length(system_title) = 8),
    device_id     text,
    peer          text NOT NULL,
    reason        text NOT NULL,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    messages      bigint NOT NULL CHECK (messages > 0),
    first_message bytea NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE discovered_meter IS 'Whoever pushed and is not registered; nothing that it says of itself is proven.';
COMMENT ON COLUMN discovered_meter.sender IS 'What it is told apart by: title HEX, device ID, or peer ADDRESS where it names itself by neither.';
COMMENT ON COLUMN discovered_meter.first_message IS 'The APDU as it came, still protected.';

CREATE INDEX discovered_meter_seen ON discovered_meter (last_seen);
CREATE INDEX meter_device_id ON meter (device_id) WHERE device_id IS NOT NULL;

CREATE FUNCTION address_host(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The host of a meter's address: that of tcp://[::1]:4059 is ::1.
    SELECT coalesce(substring(address FROM '://\[([^]]*)\]'), substring(address FROM '://([^:/?]+)'))
$$;
CREATE INDEX meter_host ON meter (address_host(address));
