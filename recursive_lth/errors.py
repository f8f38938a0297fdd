"""What can be wrong with what a user gave us; the command line turns each into one line."""


class InputError(ValueError):
    """A value, key, name or file given by the user breaks a law; the text names law and cure."""


class DamagedFileError(InputError):
    """A file of ours is truncated or its content no longer matches its recorded SHA-256."""
