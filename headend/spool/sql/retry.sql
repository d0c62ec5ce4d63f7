UPDATE entry SET error = NULL, failed_at = NULL WHERE id = :id AND error IS NOT NULL
