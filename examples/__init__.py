"""A driving clip and its result, and how they were made."""
