"""The network: one small module or pure function a technique; `gpt.py` puts them together."""

from reference_impl.model.gpt import GPT, next_token_loss

__all__ = ["GPT", "next_token_loss"]
