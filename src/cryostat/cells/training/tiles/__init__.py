"""Training on batches of tiles: from stored features, or through the encoder, frozen or learning."""
