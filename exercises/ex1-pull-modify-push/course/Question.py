"""Ask the question of the day, and keep the answer beside this file."""

from pathlib import Path

ANSWER = Path(__file__).with_name("Answer.txt")

professor = input("Who is the professor for AC295? ").strip()
code = input("What is your course code? ").strip()
ANSWER.write_text(f"professor: {professor}\ncode: {code}\n", encoding="utf-8")
print(f"\nWritten to {ANSWER}.")
