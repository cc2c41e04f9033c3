"""Annotators: their visit, consent and completion codes; simulated ones too."""
