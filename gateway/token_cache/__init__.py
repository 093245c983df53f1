"""What a provider once said about a credential, kept for a while: in memory and in Redis.

Rule: whoever reads the store learns nothing and whoever writes it gains nothing. Keys are HMACs
of the credential, values are sealed, and whatever does not open is a miss.
"""
