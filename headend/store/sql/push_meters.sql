-- Meters that pushes may be from: by system title, by device id (or serial number), by the host of their address.
SELECT id, name, serial, system_title, device_id, address_host(address), meter_type, maker, firmware, interval_s,
       commissioned_at
FROM meter
WHERE state <> 'retired'
  AND (system_title = ANY (%(titles)b::bytea[]) OR device_id = ANY (%(devices)b::text[])
       OR serial = ANY (%(devices)b::text[]) OR address_host(address) = ANY (%(hosts)b::text[]))
