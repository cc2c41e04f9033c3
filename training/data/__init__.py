"""Faces, renders, features and triplets, as the stages take them."""
