"""Reserved for the readable reference trainer and evaluator; nothing is here yet."""
