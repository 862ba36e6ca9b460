"""The four compressions with what the standard library has: gzip as it is, the others as frames that store without compressing."""
import gzip
import struct
import zlib

CODES = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LZ4_MAGIC, ZSTD_MAGIC = b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd"
XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
BLOCK_BYTES = 60_000


def compress(name, data):
    """`data` in the frame of a compression."""
    return {"none": bytes, "gzip": lambda it: gzip.compress(it, mtime=0), "snappy": snappy, "lz4": lz4, "zstd": zstd}[name](data)


def blocks(data):
    return [data[at:at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)] or [b""]


def snappy(data):
    """The blocks of xerial's stream, as Java clients write it; each is one literal."""
    return XERIAL + b"".join(struct.pack(">i", len(it)) + it for it in map(snappy_block, blocks(data)))


def snappy_block(data):
    """A raw snappy block, as librdkafka takes it too: one literal."""
    from codec import varint
    return varint(len(data)) + (b"\xf4" + struct.pack("<H", len(data) - 1) + data if data else b"")


def lz4(data):
    """A frame of version 1 with independent blocks that are stored."""
    descriptor = b"\x60\x40"
    frame = LZ4_MAGIC + descriptor + bytes([xxh32(descriptor) >> 8 & 0xFF])
    return frame + b"".join(struct.pack("<I", len(it) | 1 << 31) + it for it in blocks(data)) + b"\0\0\0\0"


def zstd(data):
    """One frame of raw blocks; its window is large enough for each of them."""
    parts = blocks(data)
    frame = ZSTD_MAGIC + b"\x00\x40"
    for number, part in enumerate(parts):
        frame += struct.pack("<I", len(part) << 3 | (number == len(parts) - 1))[:3] + part
    return frame


def decompress(code, data):
    """What is in the frame; None where that takes more than is here."""
    if code == 0:
        return data
    if code == 1:
        return zlib.decompress(data, 31)
    if code == 2 and data.startswith(XERIAL) and data[20 + _length_bytes(data[20:]):][:1] == b"\xf4":
        return _stored_snappy(data)
    return None


def _length_bytes(data):
    return next((n + 1 for n, byte in enumerate(data) if byte < 0x80), 0)


def _stored_snappy(data):
    out, at = b"", len(XERIAL)
    while at < len(data):
        size = struct.unpack_from(">i", data, at)[0]
        block = data[at + 4:at + 4 + size]
        out += block[_length_bytes(block) + 3:]
        at += 4 + size
    return out


def xxh32(data):
    """xxHash of at most 15 bytes with seed 0, as the header of an LZ4 frame wants it."""
    def rotated(number, by):
        return (number << by | number >> 32 - by) & 0xFFFFFFFF
    number = (374761393 + len(data)) & 0xFFFFFFFF
    while len(data) >= 4:
        number = rotated((number + struct.unpack("<I", data[:4])[0] * 3266489917) & 0xFFFFFFFF, 17) * 668265263 & 0xFFFFFFFF
        data = data[4:]
    for byte in data:
        number = rotated((number + byte * 374761393) & 0xFFFFFFFF, 11) * 2654435761 & 0xFFFFFFFF
    for by, factor in ((15, 2246822519), (13, 3266489917)):
        number = (number ^ number >> by) * factor & 0xFFFFFFFF
    return number ^ number >> 16
