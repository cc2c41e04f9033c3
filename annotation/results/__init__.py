"""What the answers say: agreement, disputes, exports and snapshots, labels from elsewhere."""
