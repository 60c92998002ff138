"""The text that we store inside a picture's file: a chunk of a PNG, an XMP packet in other kinds.

From the standard library alone, so that a record is read without Pillow.
"""

import mmap
import os
import re
import struct
import zlib
from xml.parsers import expat
from xml.sax import saxutils

from nst_jax.ground.choices import one_line

MAX_BYTES = 60_000  # of a stored text or an EXIF block: a JPEG's segment holds 65,533
KEYWORD = b"nst_jax"
NAMESPACE = "urn:nst-jax:1#"

_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description rdf:about="" xmlns:nst="{NAMESPACE}"><nst:text>%s</nst:text></rdf:Description>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML cannot hold
_MAX_PACKET = 1_000_000  # bytes of a packet or chunk that is searched: other programs add their own to it
_MAX_CHUNKS = 1_000_000  # of a PNG that are searched


def xmp_packet(text) -> bytes:
    """The text as an XMP packet, for JPEG, WebP, AVIF and TIFF."""
    if unfit := _NOT_XML.search(text):
        raise ValueError(f"text to store must be printable, got {unfit[0]!r}: escape it, as json.dumps does")
    data = (_PACKET % saxutils.escape(text, {"\r": "&#13;"})).encode()
    if len(data) > MAX_BYTES:
        raise ValueError(f"text to store must take at most {MAX_BYTES:,} bytes, got {len(data):,}: store less")
    return data


def is_like_ours(block: bytes) -> bool:
    """Whether a stranger's profile or EXIF block could be taken for our packet: `read` takes a file's first."""
    return NAMESPACE.encode() in block


def png_chunk(text) -> bytes:
    """The text as the data of a PNG's iTXt chunk, uncompressed."""
    xmp_packet(text)  # raises: every kind of file takes the same texts
    return KEYWORD + bytes(5) + text.encode()


def read(path) -> str | None:
    """The text stored in a picture, or None. Files come from strangers: sizes are bounded, document types refused."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"picture must be an existing file, got {os.fspath(path)!r}: check its name")
    try:
        with open(path, "rb") as file:
            text = _in_chunks(file) if file.read(8) == b"\x89PNG\r\n\x1a\n" else None
            return _in_packets(file) if text is None else text
    except (ValueError, zlib.error, expat.ExpatError) as error:
        got = f"got {os.fspath(path)!r} ({one_line(error)})"
        raise ValueError(f"stored text must be whole, {got}: fetch it again") from error


def _in_chunks(file):
    """The text of our first chunk in a PNG, in any of its three ways of storing text."""
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head)
        if kind not in _TEXTS or length > _MAX_PACKET:
            file.seek(length + 4, os.SEEK_CUR)
            continue
        data = file.read(length + 4)
        if data.startswith(KEYWORD + b"\0"):
            if len(data) < length + 4 or zlib.crc32(kind + data[:-4]) != int.from_bytes(data[-4:]):
                raise ValueError("checksum")
            return _TEXTS[kind](data[len(KEYWORD) + 1 : -4])
    return None


def _itxt(data):
    """The text of an iTXt chunk, which holds two bytes about compression, a language, a translated keyword, a text."""
    flags, (_, _, text) = data[:2], data[2:].split(b"\0", 2)
    return _check_size(_inflate(text) if flags[:1] != b"\0" else text).decode()


def _inflate(data):
    """Decompress a text, but no more than one byte beyond what we store."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, MAX_BYTES + 1)
    if len(text) <= MAX_BYTES and not unpacker.eof:
        raise ValueError("cut short")
    return text


def _check_size(text):
    """The same text; an error if it is longer than what we store."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    return text


_TEXTS = {
    b"iTXt": _itxt,
    b"zTXt": lambda data: _check_size(_inflate(data[1:])).decode("latin-1"),
    b"tEXt": lambda data: _check_size(data).decode("latin-1"),
}


def _in_packets(file):
    """The text in our first XMP packet: packets stand in one piece in files of every kind."""
    if not os.fstat(file.fileno()).st_size:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(NAMESPACE.encode())
        start = data.rfind(b"<x:xmpmeta", max(0, at - _MAX_PACKET), max(0, at))
        end = data.find(b"</x:xmpmeta>", at, at + _MAX_PACKET) if start >= 0 else -1
        found = data[start : end + len(b"</x:xmpmeta>")] if end >= 0 else None
    return None if found is None else _in_xml(found)


def _in_xml(data):
    """The text of our element or attribute in an XMP packet.

    Prefixes are read here: a parser that does so writes a namespace out at each name, and one may take a megabyte.
    """
    names, depth, texts, parser = set(), [], [], expat.ParserCreate("utf-8")

    def start(tag, attributes):
        prefixes = (key[6:] for key, value in attributes.items() if key.startswith("xmlns:") and value == NAMESPACE)
        names.update(f"{prefix}:text" for prefix in prefixes)
        depth.append(tag)
        texts.extend([value for key, value in attributes.items() if key in names] or [""] * (tag in names))

    def add(text):
        if depth[-1] in names:
            texts[-1] += text

    def refuse(*_):
        raise ValueError("a document type")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, lambda tag: depth.pop()
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = add, refuse
    parser.Parse(data, True)
    return _check_size(texts[0]) if texts else None
