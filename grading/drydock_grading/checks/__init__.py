"""What is looked at in an artifact: pure functions from a case to a verdict, put together by each assignment."""
