"""Whether a position depends on earlier ones only, inside the model and in the order of scoring."""
