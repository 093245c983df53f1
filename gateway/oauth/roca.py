"""The fingerprint of RSA keys whose primes came from a broken generator (CVE-2017-15361, ROCA)."""

from __future__ import annotations

# The generator's primes are k * M + (65537 ** a mod M), M being a product of the first primes:
# at least these for every key length. So the modulus is a power of 65537 modulo each of them.
# A sound modulus looks like that once in 2 ** 27.
_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83),
    *(89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_POWERS = {prime: frozenset(pow(65537, a, prime) for a in range(prime)) for prime in _PRIMES}


def has_roca_fingerprint(modulus: int) -> bool:
    """Tell whether ``modulus`` is a power of 65537 modulo each of the generator's primes."""
    return all(modulus % prime in powers for prime, powers in _POWERS.items())
