"""Checks whether a run of its configuration could have left a record.

A record may come from another person or another disk, and may have been edited. `record.read` compares the files of one
record with one another; `among.Among` compares all records of a study. Each refusal is one line that names the file and
the key, and says what is wrong and what would be right. Unknown fields are accepted: newer code may have added them.
"""
