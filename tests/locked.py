"""A workbook as a spreadsheet saves it under a password: really encrypted, with nothing but bytes.

ECMA-376 standard encryption (MS-OFFCRYPTO, 2.3.4): the zip file, encrypted with AES-128, is the
stream `EncryptedPackage` of a compound file (MS-CFB), beside `EncryptionInfo`.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import accumulate

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
ROUNDS = 50_000
SALT = bytes(range(16))
LEAST = 4104  # bytes: shorter streams than 4096 would lie in a stream of their own


def locked(workbook: bytes, password: str) -> bytes:
    """The bytes of the workbook under a password."""
    key = _key(password)
    verifier = bytes(range(16, 32))
    proof = _encrypted(hashlib.sha1(verifier).digest(), key)
    header = struct.pack("<8I", 0x24, 0, 0x660E, 0x8004, 128, 0x18, 0, 0)
    header += "Microsoft Enhanced RSA and AES Cryptographic Provider\0".encode("utf-16-le")
    info = struct.pack("<HHII", 3, 2, 0x24, len(header)) + header
    info += struct.pack("<I", 16) + SALT + _encrypted(verifier, key)
    info += struct.pack("<I", 20) + proof
    package = struct.pack("<Q", len(workbook)) + _encrypted(workbook, key)
    return _compound({"EncryptionInfo": info, "EncryptedPackage": package})


def _key(password: str) -> bytes:
    """The key of a password, made dear on purpose."""
    made = hashlib.sha1(SALT + password.encode("utf-16-le")).digest()
    for i in range(ROUNDS):
        made = hashlib.sha1(struct.pack("<I", i) + made).digest()
    made = hashlib.sha1(made + bytes(4)).digest().ljust(64, b"\0")
    return hashlib.sha1(bytes(byte ^ 0x36 for byte in made)).digest()[:16]


def _encrypted(data: bytes, key: bytes) -> bytes:
    made = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return made.update(data + bytes(-len(data) % 16)) + made.finalize()


def _compound(streams: dict[str, bytes]) -> bytes:
    """A compound file: header, streams, directory, and the table of what follows what."""
    padded = [data.ljust(LEAST, b"\0") for data in streams.values()]
    counts = [-(-len(data) // SECTOR) for data in padded]
    starts = [0, *accumulate(counts)]
    directory, tables = starts[-1], -(-(starts[-1] + 2) // 127)
    chain = [j + 1 for start, count in zip(starts, counts, strict=False)
             for j in range(start, start + count)]  # fmt: skip
    for start, count in zip(starts, counts, strict=False):
        chain[start + count - 1] = END
    chain += [END] + [FAT] * tables
    chain += [FREE] * (tables * SECTOR // 4 - len(chain))
    entries = [_entry("Root Entry", 5, 1, END, 0)]
    entries += [
        _entry(name, 2, 2 if i == 0 else FREE, starts[i], len(padded[i]))
        for i, name in enumerate(streams)
    ]
    body = b"".join(data.ljust(n * SECTOR, b"\0") for data, n in zip(padded, counts, strict=True))
    names = b"".join(entries).ljust(SECTOR, b"\0")
    return _header(directory, tables) + body + names + struct.pack(f"<{len(chain)}I", *chain)


def _header(directory: int, tables: int) -> bytes:
    places = [directory + 1 + i for i in range(tables)]
    made = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    made += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    made += struct.pack("<IIIIIIIII", 0, tables, directory, 0, 4096, END, 0, END, 0)
    return made + struct.pack("<109I", *places, *[FREE] * (109 - tables))


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    """One entry of the directory; the root has a `child`, the first stream a right sibling."""
    text = name.encode("utf-16-le") + b"\0\0"
    right, below = (FREE, child) if kind == 5 else (child, FREE)
    tree = struct.pack("<BBIII", kind, 1, FREE, right, below)
    return text.ljust(64, b"\0") + struct.pack("<H", len(text)) + tree + bytes(36) + struct.pack(
        "<IQ", start, size
    )  # fmt: skip
