"""From a trained model to a file under the limit and back: round (`rounding.py`), compress, pack, count, load."""
