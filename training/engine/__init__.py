"""One loop for every stage: batches, optimizer, metrics, checkpoints, devices."""
