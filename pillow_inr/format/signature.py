"""The names of the format and its first bytes: Pillow's name, file extension, MIME type, magic bytes.

Imports nothing, because every program that imports Pillow may load this module.
"""

FORMAT = "INR"
EXTENSION = ".inr"
MIME = "image/x-inr"
# A byte above 0x7F and CR LF, so that a transfer in text mode is noticed (docs/format.md section 2).
MAGIC = b"\x89INR\r\n"
INRIMAGE = b"#INRIMAGE-4#"
INRIMAGE_COMPLAINT = "this is an INRIMAGE-4 volume, another format that shares the extension .inr"
