"""The code of the book: its data set, figures, chapters and studies. It stands on lsfa_lite."""
