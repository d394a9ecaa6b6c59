"""pricing 2.0: rounds money as banks do."""


def cents(amount):
    """Return an amount in whole cents; half a cent goes to the even neighbour, so that errors even out."""
    return round(amount * 100)
