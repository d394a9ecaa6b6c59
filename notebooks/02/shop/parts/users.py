"""Users: who the customer is."""

VERSION = "1.0"


def fill(db):
    db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    db.executemany("INSERT INTO users VALUES (?, ?)", [(n, f"customer {n}") for n in range(1, 101)])


def answer(db, order):
    (name,) = db.execute("SELECT name FROM users WHERE id = ?", [order["customer"]]).fetchone()
    return {"name": name}
