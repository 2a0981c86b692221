//! What the devices shall run: policy, settings, content, applications, deployments.
