"""pricing 1.0: rounds money as in school."""


def cents(amount):
    """Return an amount in whole cents; half a cent is rounded up."""
    return int(amount * 100 + 0.5)
