"""A queue for who reviews without rights in the repository: new heads are audited, drafts wait for a person.

`rounds.Watch` goes round: `poll` asks GitHub what moved, `audits` reads new heads in processes of their own, `store`
keeps what is known. Each step is kept as soon as it is done: a round can be killed anywhere, and the next one goes on.
"""
