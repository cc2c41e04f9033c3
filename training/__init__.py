"""Training: one entry file a stage; weights come out, labels come in as files."""
