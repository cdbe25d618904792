"""The one error that a user can cause."""


class InputError(ValueError):
    """A preset, setting, file or machine is not what the command needs; the message says which, and what to type."""
