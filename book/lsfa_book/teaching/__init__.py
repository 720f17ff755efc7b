"""For those who teach with the book: editions, slides, plans, and a grader that trusts nobody."""
