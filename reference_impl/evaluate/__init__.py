"""Scoring, legal by construction: `score.py` owns the loop, `stream.py` decides what a predictor may see, and when.

A predictor gives the distribution of the next token from what is revealed, and is shown the token afterwards. The same
predictor, unchanged, decodes the stream again (`codec.py`): what cannot be decoded cannot be scored here.
"""
