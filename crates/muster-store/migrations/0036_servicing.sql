-- Where a write filter protects a device, such a deployment goes into the overlay and is gone after the next restart.
ALTER TABLE deployment ADD COLUMN in_overlay BIGINT NOT NULL DEFAULT 0;
