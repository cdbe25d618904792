"""Posts a review on GitHub: one comment and one check run a pull request, created once and then kept up to date.

`post.post` composes the parts. Each of them reads what is there, compares, and writes the difference: after a kill, or
after a request of which nobody knows whether it arrived, the same call goes on from what it finds. What is ours is
recognised by the marker in it *and* by the account that wrote it, never by the marker alone.
"""
