"""How long every stage takes, beside what others need for the same: `lsfa-lite bench`.

No data, weights or network: inputs are made by code, networks have random weights.
"""
