"""Whether a record can be what a run of its configuration left.

A record may come from another person, another disk or another hand. `record.read` looks at every file of one record
beside the others; `among.Among` at all records of a study. Each refusal is one line: which file, which key, what is
wrong, what would be right. A field that they do not know is accepted: newer code may have added it.
"""
