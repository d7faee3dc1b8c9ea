"""Rows of training and evaluation, made from the tools and personas that a user declares."""
