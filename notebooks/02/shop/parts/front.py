"""Front: what customers talk to. It asks the other parts, and puts together what they say."""

VERSION = "1.0"

NEEDS = {
    "home": ["catalogue", "recommendations"],
    "add": ["users", "cart"],
    "pay": ["users", "cart", "payment"],
}

# What may be said where a part is silent. Nobody can make up a payment.
FALLBACK = {"recommendations": {"also bought": [1, 2, 3]}}


def page(kind, order, ask):
    return {part: ask(part, order) for part in NEEDS[kind]}
