"""What every room of the house uses: errors, identities, safe files, progress."""
