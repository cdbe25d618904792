"""Tokens on disk, the tokenizer that made them, and how many bytes each token stands for."""
