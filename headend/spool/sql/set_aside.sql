UPDATE entry SET error = :error, failed_at = :failed_at WHERE id = :id
