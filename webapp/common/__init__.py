"""What several tabs need."""
