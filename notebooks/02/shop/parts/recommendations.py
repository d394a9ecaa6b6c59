"""Recommendations: who bought this also bought that."""

VERSION = "1.0"


def fill(db):
    db.execute("CREATE TABLE bought (product INTEGER, other INTEGER, times INTEGER)")
    rows = [(n, (n * k) % 500 + 1, 100 // k) for n in range(1, 501) for k in range(2, 62)]
    db.executemany("INSERT INTO bought VALUES (?, ?, ?)", rows)
    db.execute("CREATE INDEX by_product ON bought (product)")


def answer(db, order):
    query = "SELECT other FROM bought WHERE product = ? ORDER BY times DESC LIMIT 3"
    return {"also bought": [other for (other,) in db.execute(query, [order["product"]])]}
