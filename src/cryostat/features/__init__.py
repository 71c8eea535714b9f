"""Features: encoded once, kept on disk by identity, read by every head."""
