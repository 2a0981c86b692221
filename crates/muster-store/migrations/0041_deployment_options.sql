-- Whether and when a deployment runs again, values for the parameters of its application, whether users are told: JSON, where something is said.
ALTER TABLE deployment ADD COLUMN options TEXT;
-- Of an application with several deployment types: the one that the device took.
ALTER TABLE deployment_device ADD COLUMN deployment_type TEXT;
