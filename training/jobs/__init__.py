"""Fine-tuning as processes of their own, found again after a restart."""
