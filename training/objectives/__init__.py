"""Losses and the networks that only training needs."""
