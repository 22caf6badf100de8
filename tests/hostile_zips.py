"""Saved fits whose archive is made up, its directory and headers: what is done to it, and the words that must come."""

import struct
import warnings
import zipfile

CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def patched(change):
    """Change the bytes of the archive, as a bytearray."""

    def do(base):
        path = base.with_suffix(".npz")
        data = bytearray(path.read_bytes())
        path.write_bytes(bytes(change(data) or data))

    return do


def of_entry(signature, offset, layout, value, name=b"weights.npy"):
    """Another number in the header of a member, central or local."""
    at_name = {CENTRAL: 46, LOCAL: 30}[signature]

    def change(data):
        at = data.find(signature)
        while data[at + at_name : at + at_name + len(name)] != name:
            at = data.find(signature, at + 1)
        old = struct.unpack_from(layout, data, at + offset)[0]
        struct.pack_into(layout, data, at + offset, value(old) if callable(value) else value)

    return patched(change)


def of_end(offset, layout, value):
    """Another number at the end of the directory."""

    def change(data):
        at = data.rfind(END)
        old = struct.unpack_from(layout, data, at + offset)[0]
        struct.pack_into(layout, data, at + offset, value(old) if callable(value) else value)

    return patched(change)


def renamed(to, signatures=(CENTRAL, LOCAL), name=b"weights.npy"):
    """Another name of the same length, in the directory, the member's header, or both."""

    def change(data):
        for signature in signatures:
            at_name, at = {CENTRAL: 46, LOCAL: 30}[signature], data.find(signature)
            while data[at + at_name : at + at_name + len(name)] != name:
                at = data.find(signature, at + 1)
            data[at + at_name : at + at_name + len(name)] = to

    return patched(change)


def with_members(*more, first=False):
    """Pack the same members with more of them, before or after."""

    def do(base):
        path = base.with_suffix(".npz")
        with zipfile.ZipFile(path) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        own = dict(members)
        extra = [(name, data(own) if callable(data) else data) for name, data in more]
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            warnings.simplefilter("ignore")  # of one name twice
            for name, data in [*extra, *members] if first else [*members, *extra]:
                archive.writestr(name, data)

    return do


def link(base):
    """A member that says it is a symbolic link."""
    info = zipfile.ZipInfo("more.npy")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(base.with_suffix(".npz"), "a") as archive:
        archive.writestr(info, "/etc/passwd")


def overlapping(base):
    """Two members of the directory at one place."""

    def change(data):
        at = [k for k in range(len(data)) if data[k : k + 4] == CENTRAL]
        data[at[1] + 42 : at[1] + 46] = data[at[0] + 42 : at[0] + 46]

    patched(change)(base)


def circular(base):
    """The archive is a link to itself."""
    path = base.with_suffix(".npz")
    path.unlink()
    path.symlink_to(path)


ANY = "damaged|describes|should not have|saved fit has|checksum|cannot hold|lacks the array"
ZIPS = {
    "twice the same member": (with_members(("weights.npy", lambda own: own["weights.npy"])), "twice"),
    "twice, the first another": (with_members(("weights.npy", lambda own: own["theta.npy"]), first=True), "twice"),
    "twice, the last another": (with_members(("weights.npy", lambda own: own["theta.npy"])), "twice"),
    "no members": (patched(lambda data: END + bytes(18)), "lacks the array"),
    "encrypted": (of_entry(CENTRAL, 8, "<H", lambda old: old | 1), "encrypted"),
    "strongly encrypted": (of_entry(CENTRAL, 8, "<H", lambda old: old | 0x41), ANY + "|encrypted"),
    "patched data": (of_entry(CENTRAL, 8, "<H", lambda old: old | 0x20), ANY),
    "of a later zip": (of_entry(CENTRAL, 6, "<H", 200), ANY),
    "of no compression, it says": (of_entry(CENTRAL, 10, "<H", 0), ANY),
    "of compression 99": (of_entry(CENTRAL, 10, "<H", 99), "no saved fit has"),
    "another CRC": (of_entry(CENTRAL, 16, "<I", lambda old: old ^ 1), ANY),
    "compressed to nothing": (of_entry(CENTRAL, 20, "<I", 0), ANY),
    "compressed to 4 GB": (of_entry(CENTRAL, 20, "<I", 0xFFFFFFFE), ANY),
    "of 4 GB": (of_entry(CENTRAL, 24, "<I", 0xFFFFFFFE), "cannot hold"),
    "of 4 GB by zip64": (of_entry(CENTRAL, 24, "<I", 0xFFFFFFFF), ANY),
    "one byte longer": (of_entry(CENTRAL, 24, "<I", lambda old: old + 8), ANY),
    "one byte shorter": (of_entry(CENTRAL, 24, "<I", lambda old: old - 8), ANY),
    "name of no length": (of_entry(CENTRAL, 28, "<H", 0), ANY),
    "name longer than the file": (of_entry(CENTRAL, 28, "<H", 65535), ANY),
    "extra field longer than the file": (of_entry(CENTRAL, 30, "<H", 65535), ANY),
    "comment longer than the file": (of_entry(CENTRAL, 32, "<H", 65535), ANY),
    "header beyond the file": (of_entry(CENTRAL, 42, "<I", 0x7FFFFFFF), ANY),
    "header of another member": (overlapping, ANY),
    "header of no signature": (of_entry(LOCAL, 0, "<I", 0), ANY),
    "extra field of the header longer": (of_entry(LOCAL, 28, "<H", 65535), ANY),
    "called otherwise in the directory": (renamed(b"weight5.npy", (CENTRAL,)), ANY),
    "called otherwise in its header": (renamed(b"weight5.npy", (LOCAL,)), ANY),
    "called otherwise in both": (renamed(b"weight5.npy"), "lacks the array"),
    "called with an end of text": (renamed(b"weights\x00npy"), ANY),
    "called like a folder above": (renamed(b"../../w.npy"), ANY),
    "called from the root": (renamed(b"/etc/wt.npy"), ANY),
    "called with bytes of no encoding": (renamed(b"\xff\xfe\x80ght.npy"), ANY),
    "called with a command": (renamed(b"\x1b[2Jhts.npy"), ANY),
    "a folder": (with_members(("more/", b"")), "no saved fit has"),
    "a link": (link, ANY),
    "an archive within": (with_members(("more.zip", b"PK")), "no saved fit has"),
    "a bomb": (with_members(("more.npy", bytes(30_000_000))), ANY),
    "a directory of no size": (of_end(12, "<I", 0), ANY),
    "a directory beyond the file": (of_end(16, "<I", 0x7FFFFFFF), ANY),
    "a directory larger than the file": (of_end(12, "<I", 0x7FFFFFFF), ANY),
    "an end of zip64 without its end": (patched(lambda data: data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:]), ANY),
    "a link to itself": (circular, "missing"),
}
"""With those that are refused."""
HARMLESS = {
    "encrypted in its header alone": of_entry(LOCAL, 6, "<H", lambda old: old | 1),
    "on another disk": of_end(4, "<H", 7),
    "more members than there are": of_end(8, "<Q", lambda old: old + (5 << 16)),
    "bytes before": patched(lambda data: b"#!/bin/sh\n" + data),
    "bytes behind": patched(lambda data: data + b"more"),
    "a comment": of_end(20, "<H", 0),
    "a time of no month": of_entry(CENTRAL, 12, "<I", 0xFFFFFFFF),
}
"""Those that change no number: answered as if they were not there, or refused."""
