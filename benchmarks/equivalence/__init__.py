"""Whether the reference computes what the published scripts compute: same weights in, same logits and steps out."""
